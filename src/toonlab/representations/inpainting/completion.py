"""What completing a cartoon gives, and how far it has got: the words of who completes and who asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

OnStep = Callable[[int, int], None]
"""Told how many steps are done, and of how many."""


class Completion(NamedTuple):
    """Cartoons of damaged photos, in [-1, 1].

    Attributes:
        result: the best candidate of each photo, `(B, 3, H, W)`.
        candidates: all of them, blended, `(B, K, 3, H, W)`.
        scores: context and prior of each, `(B, K)`; smaller is better.
    """

    result: Tensor
    candidates: Tensor
    scores: Tensor
