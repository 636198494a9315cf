"""Smooth surfaces: the guided filter, each channel alone (White-box cartoonization, section 3.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def guided_filter(guide: Tensor, images: Tensor, radius: int, eps: float) -> Tensor:
    """Smooth `images` where `guide` is smooth and keep their edges where it has edges.

    He et al. 2013 with the authors' borders: a window's mean is taken over the pixels that exist, down to
    an image smaller than the window. kornia's own `guided_blur` pads instead, and with three channels solves
    a joint colour model: up to 0.3 away from White-box's. Computed in fp32 even under autocast, because
    var = E[x²] - E[x]² cancels. NaN stays within `2·radius` pixels of where it was.

    Args:
        guide: `(B, C, H, W)` in [-1, 1]; the same tensor as `images` is cheaper: its means serve for both.
        images: `(B, C, H, W)`, filtered channel by channel with the same channel of the guide.
        radius: pixels; windows are `2·radius + 1` wide.
        eps: variance on the [-1, 1] scale; divide by 4 to compare with papers that use [0, 1].

    Returns:
        fp32 of the images' shape and range (more or less: it can overshoot a little beside an edge).

    Raises:
        ValueError: guide and images differ in shape or are not `(B, C, H, W)`, or the radius is negative.
    """
    if guide.shape != images.shape or images.ndim != 4 or radius < 0:
        raise ValueError(
            "guided_filter needs a guide and images of one shape (B, C, H, W) and radius >= 0, "
            f"got {tuple(guide.shape)}, {tuple(images.shape)} and {radius}"
        )
    with torch.autocast(device_type=images.device.type, enabled=False):
        x = guide.float().flatten(0, 1)
        y = x if guide is images else images.float().flatten(0, 1)
        return _filter(x, y, radius, eps).reshape(images.shape)


def linear_model(guide: Tensor, images: Tensor, radius: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return slope and offset of `images` as a linear function of `guide` around each pixel.

    What `guided_filter` applies: its result is `slope · guide + offset`. Same arguments; both fp32 of the
    images' shape. Enlarged, they lift a small cartoon to a large photo (He & Sun 2015).
    """
    with torch.autocast(device_type=images.device.type, enabled=False):
        x, y = guide.float().flatten(0, 1), images.float().flatten(0, 1)
        slope, offset = _linear_model(x, y, radius, eps)
        return slope.reshape(images.shape), offset.reshape(images.shape)


def _filter(x: Tensor, y: Tensor, radius: int, eps: float) -> Tensor:
    """Return `y` filtered by `x`, `(N, H, W)` each, in their own dtype: He et al.'s equation 8."""
    slope, offset = _linear_model(x, y, radius, eps)
    return torch.addcmul(offset, slope, x)


def _linear_model(x: Tensor, y: Tensor, radius: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return the mean slope and offset of the windows around each pixel: equations 5, 6 and 8."""
    share = _share(x, radius)
    mean_x, mean_xx = _box_means(x, x * x, share, radius)
    # Apart from the guide's means, not stacked with them: a photo needs no gradient, half the way back.
    mean_y, mean_xy = (mean_x, mean_xx) if y is x else _box_means(y, x * y, share, radius)
    variance = torch.addcmul(mean_xx, mean_x, mean_x, value=-1)
    covariance = variance if y is x else torch.addcmul(mean_xy, mean_x, mean_y, value=-1)
    slope = covariance / (variance + eps)
    offset = torch.addcmul(mean_y, slope, mean_x, value=-1)
    return _box_means(slope, offset, share, radius)


def _box_means(first: Tensor, second: Tensor, share: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return both means over windows cut at the border, `(N, H, W)` each."""
    means: Tensor = _BoxMean.apply(torch.stack([first, second]), share, radius, False)
    return means[0], means[1]


def _share(images: Tensor, radius: int) -> Tensor:
    """Return the weight of a pixel in each window's mean: 1 / (pixels of the window that exist), `(H, W)`."""
    counts = []
    for size in images.shape[-2:]:
        at = torch.arange(size, device=images.device)
        counts.append((at + radius).clamp(max=size - 1) - (at - radius).clamp(min=0) + 1)
    return (counts[0][:, None] * counts[1]).to(images.dtype).reciprocal()


class _BoxMean(torch.autograd.Function):
    """Means over windows, and their adjoint: window sums of what was shared out.

    Why not left to autograd, nor to kornia's `box_blur`: the way back through slices fills a tensor with
    zeros for each, and through pooling or depthwise convolutions it is the slowest part of the filter.
    benchmarks/surface.py has the figures. Differentiable any number of times.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, share: Tensor, radius: int, adjoint: bool) -> Tensor:
        ctx.save_for_backward(share)
        ctx.radius, ctx.adjoint = radius, adjoint
        if adjoint:
            return _window_sums(_window_sums(images * share, -1, radius), -2, radius)
        return _window_sums(_window_sums(images, -1, radius), -2, radius) * share

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (share,) = ctx.saved_tensors
        mean: Tensor = _BoxMean.apply(gradients[0], share, ctx.radius, not ctx.adjoint)
        return mean, None, None, None


def _window_sums(images: Tensor, dim: int, radius: int) -> Tensor:
    """Return sums over `2·radius + 1` neighbours along one of the last two axes, zeros outside.

    By doubling: sums of 2 pixels, of 4, of 8, and of those the ones that make up the window. Some
    2·log₂(radius) additions, rounding like a short sum, and NaN stays in its windows; a running sum is as
    quick, but loses four digits along 1280 pixels and carries NaN to the end of the row.
    """
    size = images.shape[dim]
    radius = min(radius, size - 1)  # a wider window holds nothing more
    runs = F.pad(images, (radius, radius) if dim == -1 else (0, 0, radius, radius))
    total, start, length = runs.narrow(dim, 0, size), 1, 1
    while radius:
        pairs = runs.shape[dim] - length
        runs = runs.narrow(dim, 0, pairs) + runs.narrow(dim, length, pairs)
        length *= 2
        if radius & 1:
            total = total + runs.narrow(dim, start, size)
            start += length
        radius >>= 1
    return total


class Surface(nn.Module):
    """An image's smooth surface: the image filtered by itself.

    Args:
        radius: pixels.
        eps: variance on the [-1, 1] scale.
    """

    def __init__(self, *, radius: int = 5, eps: float = 0.2) -> None:
        super().__init__()
        self.radius, self.eps = radius, eps

    def forward(self, images: Tensor) -> Tensor:
        """Map `(B, C, H, W)` in [-1, 1] to the same shape, fp32; see `guided_filter`."""
        return guided_filter(images, images, self.radius, self.eps)
