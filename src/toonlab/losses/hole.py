"""Losses in the hole alone: means in which each place counts by its missing share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def hole_mean(values: Tensor, missing: Tensor) -> Tensor:
    """Average `(B, C, h, w)` over channels and over places weighed by `(B, 1, h, w)` in [0, 1].

    Over the whole batch, so that a large hole counts for more than a small one; 0 where nothing is missing.
    """
    total = missing.sum() * values.shape[1]
    return (values * missing).sum() / total.clamp(min=1e-8)


def hole_feature_distance(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], missing: Tensor
) -> Tensor:
    """Root mean square distance of unit vectors over channels in the hole, `(B,)`; the mean is over taps too.

    `missing` is `(B, 1, H, W)`; a feature's place counts by the missing share of its pixels.

    Raises:
        ValueError: the taps differ.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"taps differ: {sorted(ours)} against {sorted(theirs)}")
    squares = []
    for tap in ours:
        ours_unit, theirs_unit = (F.normalize(maps[tap].float(), dim=1) for maps in (ours, theirs))
        turned = (ours_unit - theirs_unit).square().sum(dim=1, keepdim=True)
        weight = F.interpolate(missing, size=turned.shape[-2:], mode="area")
        squares.append((turned * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)).clamp(min=1e-8))
    # Away from 0, where a root's gradient is infinite.
    return torch.stack(squares).mean(dim=0).clamp(min=1e-6).sqrt()


def hole_variation(images: Tensor, missing: Tensor) -> Tensor:
    """Mean squared difference of neighbours, one at least in the hole, vertical plus horizontal."""
    total = images.new_zeros(())
    for dim in (2, 3):
        n = images.shape[dim] - 1
        step = images.narrow(dim, 1, n) - images.narrow(dim, 0, n)
        touched = torch.maximum(missing.narrow(dim, 1, n), missing.narrow(dim, 0, n))
        total = total + hole_mean(step.square(), touched)
    return total


def hole_l1(ours: Tensor, theirs: Tensor, missing: Tensor) -> Tensor:
    """Mean absolute difference of `(B, C, h, w)` in the hole, `(B,)`; places weighed by `(B, 1, h, w)`."""
    total = missing.sum(dim=(1, 2, 3)) * ours.shape[1]
    return ((ours - theirs).abs() * missing).sum(dim=(1, 2, 3)) / total.clamp(min=1e-8)
