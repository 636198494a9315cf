"""Cartoons without their edges: the negative examples that teach a discriminator what an edge is."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from toonlab import images as im


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
    """

    def __init__(self, low: float = 100, high: float = 200, kernel: int = 5, feather: int = 0) -> None:
        if kernel < 1 or kernel % 2 == 0 or feather < 0:
            raise ValueError(f"EdgeSmooth needs an odd kernel and feather >= 0, got {kernel} and {feather}")
        self.low, self.high, self.kernel, self.feather = low, high, kernel, feather

    def __call__(self, image: Tensor) -> Tensor:
        """Map one `(3, H, W)` image in [-1, 1] to its smoothed copy; far from edges it is unchanged."""
        array = im.to_array(image)
        edges = cv2.Canny(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY), self.low, self.high)
        near = cv2.dilate(edges, np.ones((self.kernel, self.kernel), np.uint8))
        hard = (near > 0).astype(np.float32)
        share = cv2.blur(hard, (2 * self.feather + 1,) * 2)
        blurred = im.from_uint8(torch.from_numpy(cv2.GaussianBlur(array, (self.kernel,) * 2, 0)))
        return torch.lerp(image, blurred.permute(2, 0, 1), torch.from_numpy(share))
