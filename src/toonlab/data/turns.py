"""Whose turn it is: the domain of a batch, from the batch's number alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from toonlab.errors import UsageError

_LONGEST = 10_000  # batches until the order repeats


class Turn(NamedTuple):
    """The domain of a batch, and how many batches it had before."""

    domain: str
    before: int


class Turns:
    """Domains in turn, as often as their weights say, spread evenly.

    The order repeats after the smallest number of batches that holds the weights' ratio exactly: `{a: 2,
    b: 1}` is `a b a`, `a b a`, … Equal weights are round-robin. Nothing has a state: any batch can be asked.

    Args:
        weights: of each domain, above 0; only their ratios matter.

    Raises:
        UsageError: a weight is not above 0, or the ratios need more than 10,000 batches.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise UsageError(
                    f"data.domain_weights.{name}={weight}: a number above 0; to leave a domain out, take it "
                    "out of domains"
                )
        exact = [Fraction(str(weight)) for weight in weights.values()]
        scale = math.lcm(*(share.denominator for share in exact))
        counts = [int(share * scale) for share in exact]
        counts = [count // math.gcd(*counts) for count in counts]
        if sum(counts) > _LONGEST:
            raise UsageError(
                f"data.domain_weights={dict(weights)}: the ratio {':'.join(map(str, counts))} takes "
                f"{sum(counts)} batches; use simpler numbers"
            )
        self.period = dict(zip(weights, counts, strict=True))
        self._turns: list[Turn] = []
        had = dict.fromkeys(weights, 0)
        for i in range(sum(counts)):
            # Whoever is furthest behind; the first of equals.
            name = max(had, key=lambda name: self.period[name] * (i + 1) - sum(counts) * had[name])
            self._turns.append(Turn(name, had[name]))
            had[name] += 1

    def at(self, batch: int) -> Turn:
        """Return the turn of a batch, counted from 0."""
        rounds, place = divmod(batch, len(self._turns))
        domain, before = self._turns[place]
        return Turn(domain, rounds * self.period[domain] + before)
