"""Cartoons without their edges: the negative examples that teach a discriminator what an edge is."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab import images as im
from toonlab.errors import check_choice
from toonlab.representations.canny import canny, luma, mirrored, separable


class EdgeSmooth:
    """Blurs an image around its edges and nowhere else (CartoonGAN, Chen et al. 2018, section 3.2.1).

    Give it the crop at training size: smoothed first and scaled down later, the blur would be gone.

    Args:
        low: Canny's lower threshold, on grey levels 0..255.
        high: Canny's upper threshold.
        kernel: pixels, odd; of the dilation's box and of the Gaussian, whose sigma OpenCV then derives:
            for 5 the kernel is (1, 4, 6, 4, 1)/16, as in the public implementations.
        feather: pixels by which the border of the blurred area is softened. 0 is the paper's hard
            paste, whose seam a discriminator can learn instead of the blur.
        backend: `opencv` takes images one by one on the processor, `torch` whole batches where they are,
            to the same edges (on the processor some forty times slower; benchmarks/surface.py); `auto` is
            OpenCV for tensors in main memory and torch for any other.

    Raises:
        ValueError: an even kernel, a negative feather or another backend.
    """

    def __init__(
        self,
        low: float = 100,
        high: float = 200,
        kernel: int = 5,
        feather: int = 0,
        backend: str = "auto",
    ) -> None:
        if kernel < 1 or kernel % 2 == 0 or feather < 0:
            raise ValueError(f"EdgeSmooth needs an odd kernel and feather >= 0, got {kernel} and {feather}")
        check_choice("backend", backend, ("auto", "opencv", "torch"))
        self.low, self.high, self.kernel, self.feather = low, high, kernel, feather
        self.backend = backend

    def __call__(self, image: Tensor) -> Tensor:
        """Map `(3, H, W)` or `(B, 3, H, W)` in [-1, 1] to a smoothed copy; far from edges it is unchanged.

        Raises:
            ValueError: another shape, or NaN, of which no grey level can be made.
        """
        if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
            raise ValueError(f"EdgeSmooth needs (3, H, W) or (B, 3, H, W), got {tuple(image.shape)}")
        if image.amax().isnan():  # carries NaN, and is 15 times quicker than isnan().any()
            raise ValueError("EdgeSmooth got an image with NaN in it; look for it in what made the image")
        if self.backend == "torch" or (self.backend == "auto" and image.device.type != "cpu"):
            return self._by_torch(image if image.ndim == 4 else image[None]).view_as(image)
        return self._by_opencv(image) if image.ndim == 3 else torch.stack([*map(self._by_opencv, image)])

    def _by_opencv(self, image: Tensor) -> Tensor:
        array = im.to_array(image)
        edges = cv2.Canny(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY), self.low, self.high)
        near = cv2.dilate(edges, np.ones((self.kernel, self.kernel), np.uint8))
        hard = (near > 0).astype(np.float32)
        share = cv2.blur(hard, (2 * self.feather + 1,) * 2)
        blurred = im.from_uint8(torch.from_numpy(cv2.GaussianBlur(array, (self.kernel,) * 2, 0)))
        return torch.lerp(image, blurred.permute(2, 0, 1).to(image), torch.from_numpy(share).to(image))

    def _by_torch(self, images: Tensor) -> Tensor:
        levels = im.to_uint8(images).int()
        edges = canny(luma(levels), *sorted((self.low, self.high)))
        share = F.max_pool2d(edges[:, None].float(), self.kernel, stride=1, padding=self.kernel // 2)
        width = 2 * self.feather + 1
        share = separable(share, [1 / width] * width, mirrored)
        blurred = separable(levels.float(), cv2.getGaussianKernel(self.kernel, 0)[:, 0], mirrored)
        blurred = im.from_uint8((blurred + 0.5).floor())
        return torch.lerp(images, blurred.to(images), share.to(images))
