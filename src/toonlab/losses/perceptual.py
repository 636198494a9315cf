"""Distances between feature maps, place by place or in their statistics."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def feature_distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
    """Mean absolute difference of each tap, averaged over the taps; CartoonGAN eq. 4, White-box eq. 3.

    Raises:
        ValueError: the taps differ.
    """
    _check_taps(ours, theirs)
    return torch.stack([(ours[tap] - theirs[tap]).abs().mean() for tap in ours]).mean()


def gram(features: Tensor) -> Tensor:
    """Products of channels, summed over an image's places: `(B, C, H, W)` to `(B, C, C)`, over H·W·C.

    Each image has its own, whatever else is in the batch. In fp32 even under autocast: sums of thousands
    of products overflow fp16.
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        return flat @ flat.transpose(1, 2) / flat[0].numel()


def gram_distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
    """Mean absolute difference of the Gram matrices of each tap, averaged over the taps; AnimeGAN's style.

    Quadratic in the features' scale. Sizes may differ, images are compared in the batch's order.

    Raises:
        ValueError: the taps differ.
    """
    _check_taps(ours, theirs)
    return torch.stack([(gram(ours[tap]) - gram(theirs[tap])).abs().mean() for tap in ours]).mean()


def _check_taps(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    if ours.keys() != theirs.keys():
        raise ValueError(f"taps differ: {sorted(ours)} against {sorted(theirs)}")
