"""Whether a metric puts the models in the order in which people do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray[Any, np.dtype[np.float64]]

LEAST = 3
"""Models; of two, every order is a perfect one."""

_EXACT, _SHUFFLES = 7, 5000


class Agreement(NamedTuple):
    """Of a metric with the votes: 1 is the same order, -1 the opposite.

    `p` is how often shuffled scores agree or disagree as much, Spearman's ρ being the measure.
    """

    n: int
    spearman: float
    kendall: float
    p: float


def agreement(strengths: Sequence[float], scores: Sequence[float], better: str) -> Agreement | None:
    """Compare the order of models by votes with that by a metric, both turned so that more is better.

    Args:
        strengths: of the models.
        scores: of the same models.
        better: `lower`, `higher`, or `toward 1/2`.

    Returns:
        None for fewer than `LEAST` models, or where one side says the same of all.
    """
    # Rounded: a tie of votes must not be broken by the last digits of the fit.
    votes, values = np.round(np.asarray(strengths, dtype=float), 7), np.asarray(scores, dtype=float)
    goodness = {"lower": -values, "higher": values, "toward 1/2": -np.abs(values - 0.5)}[better]
    if len(votes) < LEAST or np.ptp(votes) == 0 or np.ptp(goodness) == 0:
        return None
    a, b = _unit(rankdata(votes)), _unit(rankdata(goodness))
    found = float(a @ b)
    if len(a) <= _EXACT:
        shuffled = b[_orders(len(b))]
    else:
        rng = np.random.default_rng(0)
        shuffled = np.concatenate([b[None], rng.permuted(np.tile(b, (_SHUFFLES, 1)), axis=1)])
    as_far = float((np.abs(shuffled @ a) >= abs(found) - 1e-9).mean())
    return Agreement(len(a), found, _kendall(a, b), as_far)


def _unit(ranks: Array) -> Array:
    """Centre ranks and scale them to length 1, so that a product of two is their correlation."""
    centred: Array = ranks - ranks.mean()
    return centred / np.sqrt(centred @ centred)


@cache
def _orders(n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(list(permutations(range(n))))


def _kendall(a: Array, b: Array) -> float:
    """Return Kendall's τ_b, which allows for ties."""
    signs_a, signs_b = (np.sign(x[:, None] - x[None]) for x in (a, b))
    return float((signs_a * signs_b).sum() / math.sqrt((signs_a**2).sum() * (signs_b**2).sum()))
