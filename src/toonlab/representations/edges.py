"""Cartoons without their edges: the negative examples that teach a discriminator what an edge is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab import images as im
from toonlab.errors import check_choice


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
        share = _separable(share, [1 / width] * width, _mirrored)
        blurred = _separable(levels.float(), cv2.getGaussianKernel(self.kernel, 0)[:, 0], _mirrored)
        blurred = im.from_uint8((blurred + 0.5).floor())
        return torch.lerp(images, blurred.to(images), share.to(images))


def luma(levels: Tensor) -> Tensor:
    """Map `(B, 3, H, W)` int32 in 0..255 to grey, `(B, H, W)`; OpenCV's arithmetic, in 1/2^15."""
    red, green, blue = levels.unbind(dim=1)
    return (9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15


def canny(grey: Tensor, low: float, high: float) -> Tensor:
    """Return the edges that `cv2.Canny(grey, low, high)` finds, pixel for pixel, `(B, H, W)` bool.

    Why not kornia's: it blurs first and takes the gradient's Euclidean length, rounds its direction by an
    arctangent, and answers for other thresholds; OpenCV's are what every CartoonGAN was trained with.

    Args:
        grey: `(B, H, W)` int32 in 0..255.
        low: of |∂x| + |∂y| after a 3x3 Sobel filter, up to 2040; an edge goes on above it.
        high: the same; an edge needs one pixel above it.
    """
    # dx varies along the width and is smoothed along the height, dy the other way round.
    dx = _along(_along(grey, (-1, 0, 1), -1, _repeated), (1, 2, 1), -2, _repeated)
    dy = _along(_along(grey, (1, 2, 1), -1, _repeated), (-1, 0, 1), -2, _repeated)
    strength = dx.abs() + dy.abs()
    peak = _is_peak(strength, dx, dy)
    candidates, edges = peak & (strength > low), peak & (strength > high)
    while True:
        before = edges
        for _ in range(8):  # asking whether anything changed makes a GPU wait: not at every pixel's step
            edges = candidates & (F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0)
        if torch.equal(edges, before):
            return edges


def _is_peak(strength: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Return where a gradient beats both neighbours across the edge; of two equals the first, as OpenCV."""
    height, width = strength.shape[-2:]
    around = F.pad(strength, (1, 1, 1, 1))

    def at(down: int, right: int) -> Tensor:
        return around[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    # Slopes under 22.5° are level and above 67.5° upright; tangents in 1/2^15, exact in 32 bits.
    rise, tan22 = dy.abs() << 15, dx.abs() * 13573
    level, upright = rise < tan22, rise > tan22 + (dx.abs() << 16)
    falling = (dx ^ dy) < 0  # signs differ
    first = torch.where(falling, at(-1, 1), at(-1, -1))
    second = torch.where(falling, at(1, -1), at(1, 1))
    first = torch.where(level, at(0, -1), torch.where(upright, at(-1, 0), first))
    second = torch.where(level, at(0, 1), torch.where(upright, at(1, 0), second))
    ties = (level | upright) & (strength == second)
    return (strength > first) & ((strength > second) | ties)


Border = Callable[[Tensor, int], Tensor]
"""Which pixel stands at a place outside, given a side's length."""


def _repeated(at: Tensor, size: int) -> Tensor:
    return at.clamp(0, size - 1)


def _mirrored(at: Tensor, size: int) -> Tensor:
    # Any number of reflections, where F.pad refuses images smaller than the kernel.
    period = max(2 * (size - 1), 1)
    return torch.minimum(at.remainder(period), period - at.remainder(period))


def _along(images: Tensor, taps: Iterable[float], dim: int, border: Border) -> Tensor:
    """Correlate with taps along one axis: sums of slices, because TF32 convolutions would round levels."""
    taps = list(taps)
    size, reach = images.shape[dim], len(taps) // 2
    at = torch.arange(-reach, size + reach, device=images.device)
    padded = images.index_select(dim, border(at, size))
    total = torch.zeros_like(images)
    for start, tap in enumerate(taps):
        if tap:
            total.add_(padded.narrow(dim, start, size), alpha=tap)
    return total


def _separable(images: Tensor, taps: Iterable[float], border: Border) -> Tensor:
    return _along(_along(images, taps, -1, border), taps, -2, border)
