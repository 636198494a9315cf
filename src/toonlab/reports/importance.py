"""How much of the scores' differences goes with each swept value.

Few runs: the share of the variance between groups of equal values (η² of a one-way ANOVA), or, where a number
is never repeated, the squared rank correlation (Spearman). Many runs: a random forest's permutation
importances. Nothing at all below `LEAST` runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray[Any, np.dtype[Any]]

LEAST = 4  # runs: with 3, one order in 3 is monotone by chance
MANY = 24  # runs from which a forest has leaves enough to be worth growing
SHUFFLES = 2000


class Share(NamedTuple):
    """What one swept value explains of one score.

    `share` is in [0, 1]; `trend` is Spearman's ρ, None for words; `chance` is how often shuffled scores give
    as much, None for a forest; `how` names the measure.
    """

    key: str
    share: float
    trend: float | None
    chance: float | None
    how: str


def importance(values: Mapping[str, Sequence[Any]], scores: Sequence[float]) -> list[Share] | None:
    """Return the shares of the swept values, largest first; None where the runs are too few to say.

    Args:
        values: of each key, a value for each scored run; keys with one value only are passed over.
        scores: of the runs.
    """
    found = np.asarray(scores, dtype=float)
    varied = {key: list(row) for key, row in values.items() if len(set(map(repr, row))) > 1}
    if len(found) < LEAST or not varied or np.ptp(found) == 0:
        return None
    few = len(found) < MANY
    shares = [_share(key, row, found) for key, row in varied.items()] if few else _forest(varied, found)
    return sorted(shares, key=lambda share: -share.share)


def together(values: Mapping[str, Sequence[Any]]) -> list[tuple[str, str]]:
    """Return the pairs of keys that change together, whose shares nothing can tell apart."""
    codes = {key: tuple(_codes(row)) for key, row in values.items()}
    keys = list(codes)
    return [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :] if codes[a] == codes[b]]


def _share(key: str, row: Sequence[Any], scores: Array) -> Share:
    numbers = _numbers(row)
    trend = None if numbers is None else _spearman(numbers, scores)
    repeated = max(Counter(map(repr, row)).values()) > 1
    measure: Callable[[Array], float] | None = None
    if repeated:
        codes = np.array(_codes(row))
        measure, how = (lambda shuffled: _eta_squared(codes, shuffled)), "η²"
    elif numbers is not None:
        measure, how = (lambda shuffled: _spearman(numbers, shuffled) ** 2), "ρ²"
    if measure is None:  # words, each once: any scores fit
        return Share(key, 0.0, None, 1.0, "a word for each run: cannot be told")
    share, rng = measure(scores), np.random.default_rng(0)
    reached = sum(measure(rng.permutation(scores)) >= share - 1e-12 for _ in range(SHUFFLES))
    return Share(key, share, trend, (1 + reached) / (1 + SHUFFLES), how)


def _eta_squared(codes: Array, scores: Array) -> float:
    """Share of the variance that lies between groups."""
    counts = np.bincount(codes)
    means = np.bincount(codes, scores) / counts
    between = float((counts * (means - scores.mean()) ** 2).sum())
    return min(between / float(((scores - scores.mean()) ** 2).sum()), 1.0)


def _spearman(a: Array, b: Array) -> float:
    ranked = np.corrcoef(rankdata(a), rankdata(b))
    return float(ranked[0, 1])


def _codes(row: Sequence[Any]) -> list[int]:
    """Number the values by first appearance."""
    seen: dict[str, int] = {}
    return [seen.setdefault(repr(value), len(seen)) for value in row]


def _numbers(row: Sequence[Any]) -> Array | None:
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in row):
        return None
    return np.array(row, dtype=float)


def _forest(values: Mapping[str, Sequence[Any]], scores: Array) -> list[Share]:
    """Return permutation importances of a random forest, as shares of what it explains out of its bags."""
    from sklearn.ensemble import RandomForestRegressor  # a second to import, and most sweeps are small
    from sklearn.inspection import permutation_importance

    numbers = {key: _numbers(row) for key, row in values.items()}
    columns = [_codes(row) if (known := numbers[key]) is None else known for key, row in values.items()]
    table = np.array(columns, dtype=float).T
    forest = RandomForestRegressor(n_estimators=200, oob_score=True, random_state=0).fit(table, scores)
    explained = max(float(forest.oob_score_), 0.0)
    drops = permutation_importance(forest, table, scores, n_repeats=10, random_state=0).importances_mean
    drops = np.clip(drops, 0, None)
    shares = explained * drops / max(float(drops.sum()), 1e-12)
    how = f"forest, explains {100 * explained:.0f} %"
    trends = [None if (known := numbers[key]) is None else _spearman(known, scores) for key in values]
    return [
        Share(key, float(share), trend, None, how)
        for key, share, trend in zip(values, shares, trends, strict=True)
    ]
