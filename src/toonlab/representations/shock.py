"""Clear lines in soft pictures: the coherence-enhancing shock filter (Weickert, DAGM 2003)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kornia.filters import gaussian_blur2d, spatial_gradient
from torch import Tensor


def shock_filter(images: Tensor, scale: float, steps: int) -> Tensor:
    """Sharpen soft edges and lines across their own direction.

    On the dark side of an edge pixels take their darkest neighbour, on the light side the lightest. Which
    side it is says the second derivative across the edge (`v_ww` in the paper), whose direction the structure
    tensor tells. Steps grow with `|v_ww|` up to a threshold, so that grain does not become worms.

    Args:
        images: `(B, 3, H, W)` in [-1, 1].
        scale: pixels over which edges and lines are soft, 0.5 or more; what is finer is taken for noise.
        steps: half pixels by which an edge may move, 0 leaves all as it is.

    Returns:
        The same shape; every value is between the least and the greatest within `steps` pixels of it.
    """
    for _ in range(steps):
        share = (_bending(images.mean(1, keepdim=True), scale) / THRESHOLD).clamp_(-1, 1).mul_(0.5)
        lightest, darkest = _neighbours(images, torch.maximum), _neighbours(images, torch.minimum)
        images = images.lerp(torch.where(share < 0, lightest, darkest), share.abs_())
    return images


THRESHOLD = 0.1
"""Second derivative, units of [-1, 1] per squared scale, from which a pixel takes half-way steps."""


def reach(scale: float, steps: int) -> int:
    """Return how many pixels away a pixel can have an influence."""
    return steps * (2 * _radius(scale) + 3)


def _neighbours(images: Tensor, extreme: Callable[..., Tensor]) -> Tensor:
    """Return the greatest or least of each pixel's 3x3 neighbourhood; `max_pool2d` takes twice as long."""
    rows = images.clone()
    extreme(rows[..., 1:, :], images[..., :-1, :], out=rows[..., 1:, :])
    extreme(rows[..., :-1, :], images[..., 1:, :], out=rows[..., :-1, :])
    both = rows.clone()
    extreme(both[..., 1:], rows[..., :-1], out=both[..., 1:])
    extreme(both[..., :-1], rows[..., 1:], out=both[..., :-1])
    return both


def _radius(sigma: float) -> int:
    return max(1, round(2.5 * sigma))


def _bending(grey: Tensor, scale: float) -> Tensor:
    """Return the second derivative across the edges, `(B, 1, H, W)`, of a step of the scale's length."""
    size = 2 * _radius(scale) + 1
    soft = gaussian_blur2d(grey, (size, size), (scale, scale), border_type="replicate")
    x, y = torch.split(spatial_gradient(soft)[:, 0], 1, dim=1)
    tensor = gaussian_blur2d(
        torch.cat([x * x, x * y, y * y], 1), (size, size), (scale, scale), border_type="replicate"
    )
    xx, xy, yy = torch.split(tensor, 1, dim=1)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy)
    across_x, across_y = angle.cos(), angle.sin()
    gxx, gxy, gyy = torch.split(spatial_gradient(soft, order=2)[:, 0], 1, dim=1)
    bending: Tensor = scale**2 * (across_x**2 * gxx + 2 * across_x * across_y * gxy + across_y**2 * gyy)
    return bending
