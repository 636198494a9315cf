"""What a search may choose: each value's distribution, and the words that say a choice to `src/train.py`."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant ones of a value where somebody reads it; a run gets all of them."""


@dataclasses.dataclass(frozen=True)
class Space:
    """The values that a search varies, and those that it leaves alone.

    Attributes:
        fixed: words that all trials share.
        heads: key of each varied value as an override writes it, `++method.lr` of `method.lr`.
        distributions: of the values by key; choices are words of Hydra's.
    """

    fixed: Sequence[str]
    heads: Mapping[str, str]
    distributions: Mapping[str, BaseDistribution]

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """Return a trial's overrides, to the last digit."""
        return [*self.fixed, *(f"{head}={params[key]}" for key, head in self.heads.items())]

    def shown(self, params: Mapping[str, Any]) -> list[str]:
        """Return what a trial varies, for a reader."""
        return [f"{key}={brief(params[key])}" for key in self.heads]

    def corner(self) -> dict[str, Any]:
        """Return the first value of each, to try whether a trial can be composed at all."""
        return {key: _first(each) for key, each in self.distributions.items()}

    def combinations(self) -> int | None:
        """Return how many trials differ; None without an end."""
        counts = [_count(each) for each in self.distributions.values()]
        return None if None in counts else math.prod(count for count in counts if count)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield every combination of values of which there are finitely many."""
        keys = list(self.distributions)
        for values in itertools.product(*(_values(self.distributions[key]) for key in keys)):
            yield dict(zip(keys, values, strict=True))

    def definition(self) -> dict[str, str]:
        """Return what tells this space from another."""
        return {key: str(each) for key, each in self.distributions.items()}


def brief(value: Any) -> str:
    """Return a value as somebody reads it."""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _first(distribution: Any) -> Any:
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


def _count(distribution: Any) -> int | None:
    if hasattr(distribution, "choices"):
        return len(distribution.choices)
    if distribution.step is None:
        return None
    return round(float(distribution.high - distribution.low) / float(distribution.step)) + 1


def _values(distribution: Any) -> Sequence[Any]:
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    # As the sampler rounds them, so that one value is not told from another by its last bit.
    count = _count(distribution) or 0
    return [distribution.low + i * distribution.step for i in range(count)]
