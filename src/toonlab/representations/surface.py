"""Smooth surfaces: the guided filter, each channel alone (White-box cartoonization, section 3.1)."""

from __future__ import annotations

import torch
from kornia.filters import box_blur
from torch import Tensor, nn


def guided_filter(guide: Tensor, images: Tensor, radius: int, eps: float) -> Tensor:
    """Smooth `images` where `guide` is smooth and keep their edges where it has edges.

    He et al. 2013 with the authors' borders: a window's mean is taken over the pixels that exist. kornia's
    own `guided_blur` pads instead, and with three channels solves a joint colour model: up to 0.3 away
    from White-box's. Computed in fp32 even under autocast, because var = E[x²] - E[x]² cancels.

    Args:
        guide: `(B, C, H, W)`.
        images: `(B, C, H, W)`, filtered channel by channel with the same channel of the guide.
        radius: pixels; windows are `2·radius + 1` wide.
        eps: variance on the [-1, 1] scale; divide by 4 to compare with papers that use [0, 1].
    """
    with torch.autocast(device_type=images.device.type, enabled=False):
        x, y = guide.float().flatten(0, 1), images.float().flatten(0, 1)
        count = _box(torch.ones_like(x[:1, None]), radius)
        # One call for the four means: the separable blur's cost is mostly its passes.
        moments = _box(torch.stack([x, y, x * y, x * x], dim=1), radius) / count
        mean_x, mean_y, mean_xy, mean_xx = moments.unbind(dim=1)
        slope = (mean_xy - mean_x * mean_y) / (mean_xx - mean_x * mean_x + eps)
        offset = mean_y - slope * mean_x
        slope, offset = (_box(torch.stack([slope, offset], dim=1), radius) / count).unbind(dim=1)
        filtered: Tensor = (slope * x + offset).reshape(images.shape)
        return filtered


def _box(images: Tensor, radius: int) -> Tensor:
    size = 2 * radius + 1
    blurred: Tensor = box_blur(images, (size, size), border_type="constant", separable=True)
    return blurred


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
        return guided_filter(images, images, self.radius, self.eps)
