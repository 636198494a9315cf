"""OpenCV's Canny edges for whole batches wherever they are, and convolutions exact on grey levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F


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


def mirrored(at: Tensor, size: int) -> Tensor:
    """OpenCV's default border: the edge pixel is the mirror."""
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


def separable(images: Tensor, taps: Iterable[float], border: Border) -> Tensor:
    """Correlate `(..., H, W)` with the same taps along both axes."""
    return _along(_along(images, taps, -1, border), taps, -2, border)
