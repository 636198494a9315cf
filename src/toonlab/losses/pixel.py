"""Losses on pixels alone."""

from __future__ import annotations

from torch import Tensor


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighbours, vertical plus horizontal; 0 for a flat image."""
    rows = images[..., 1:, :] - images[..., :-1, :]
    columns = images[..., :, 1:] - images[..., :, :-1]
    return rows.square().mean() + columns.square().mean()
