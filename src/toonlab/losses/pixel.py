"""Losses on pixels alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# BT.601's Y, U, V of red, green, blue in [0, 1]: luma, then 0.492 (blue - luma) and 0.877 (red - luma).
_YUV = (
    (0.299, 0.587, 0.114),
    (-0.14714119, -0.28886916, 0.43601035),
    (0.61497538, -0.51496512, -0.10001026),
)


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighbours, vertical plus horizontal; 0 for a flat image.

    AnimeGAN halves both: give it half the published weight.
    """
    rows = images[..., 1:, :] - images[..., :-1, :]
    columns = images[..., :, 1:] - images[..., :, :-1]
    return rows.square().mean() + columns.square().mean()


def colour_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """L1 of luma plus Huber (from 1 linear) of both chromas, of `(B, 3, H, W)` in [-1, 1]; AnimeGAN eq. 5.

    In YUV of [0, 1] images, as published: the two ranges differ by a factor in L1 and by another in Huber.
    """
    luma, u, v = _yuv_difference(ours, theirs).unbind()
    return luma.abs().mean() + _huber(u) + _huber(v)


def chroma_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """L1 of both chromas, of `(B, 3, H, W)` in [-1, 1], in YUV of [0, 1] images; 0 between greys."""
    _, u, v = _yuv_difference(ours, theirs).unbind()
    return u.abs().mean() + v.abs().mean()


def _yuv_difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return `(3, B, H, W)`; a difference, so that the offset of [-1, 1] falls out."""
    matrix = torch.tensor(_YUV, device=ours.device)
    with torch.autocast(ours.device.type, enabled=False):
        difference: Tensor = torch.einsum("bchw,yc->ybhw", (ours.float() - theirs.float()) / 2, matrix)
        return difference


def _huber(difference: Tensor) -> Tensor:
    return F.huber_loss(difference, torch.zeros_like(difference), delta=1.0)
