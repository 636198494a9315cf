"""Mixtures of styles: arithmetic on tensors by name, whatever network they belong to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares of domains that make no mixture.

    Raises:
        ValueError: they are not in [0, 1] or do not add up to 1.
    """
    for domain, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"share {share!r} of {domain}: a number from 0 to 1")
    if not math.isclose(total := sum(shares.values()), 1, abs_tol=1e-6):
        raise ValueError(f"shares {dict(shares)} add up to {total:g}: they have to add up to 1")


def mixed(held: Sequence[tuple[Mapping[str, Tensor], float]]) -> dict[str, Tensor]:
    """Interpolate styles: adapters as matrices, norms and own modules by their values.

    Written around the first one, so that a style mixed with itself is itself to the bit. A style without
    an adapter where another has one (of another kind, from a pack) counts as one of zeros.

    Args:
        held: each style's tensors, as `Style.parts` returns them, and its share; see `check_shares`.
    """
    (first, _), *others = [(parts, share) for parts, share in held if share > 0]
    result = {}
    for name, like in {name: value for parts, _ in held for name, value in parts.items()}.items():
        middle = result[name] = first[name] if name in first else torch.zeros_like(like)
        if not like.is_floating_point():
            continue  # a counter of batches
        for parts, share in others:
            result[name] = result[name] + share * (parts.get(name, torch.zeros_like(like)) - middle)
    return result
