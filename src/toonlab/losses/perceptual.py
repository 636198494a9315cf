"""Distances between feature maps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def feature_distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
    """Mean absolute difference of each tap, averaged over the taps; CartoonGAN eq. 4, White-box eq. 3.

    Raises:
        ValueError: the taps differ.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"taps differ: {sorted(ours)} against {sorted(theirs)}")
    return torch.stack([(ours[tap] - theirs[tap]).abs().mean() for tap in ours]).mean()
