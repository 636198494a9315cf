"""Several ways to do one thing, scored on the same cases: means with intervals, and who wins how often."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Z95 = 1.959963984540054
"""Of a normal distribution, 95 % lie so many deviations around its mean."""


def bootstrap(
    values: Array, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean over resampled cases; NaN without any."""
    if len(values) == 0:
        return math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    tail = (1 - level) / 2
    low, high = np.quantile(values[draws].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def wilson(wins: int, cases: int, *, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval of a share (1927), 95 % by default; all of [0, 1] without cases."""
    if cases == 0:
        return 0.0, 1.0
    share = wins / cases
    middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    half = z / (1 + z * z / cases) * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    # At 0 and at all of them one end is exactly the share, whatever rounding says.
    return 0.0 if wins == 0 else middle - half, 1.0 if wins == cases else middle + half


class Duel(NamedTuple):
    """How often one way scored better than another on the same case."""

    wins: int
    ties: int
    cases: int

    @property
    def share(self) -> float:
        """Share of cases won; a tie is not won."""
        return self.wins / self.cases if self.cases else math.nan

    def __str__(self) -> str:
        low, high = wilson(self.wins, self.cases)
        ties = f", {self.ties} ties" if self.ties else ""
        share = f"{100 * self.share:.0f} % [{100 * low:.0f}, {100 * high:.0f}]" if self.cases else "-"
        return f"{share} of {self.cases}{ties}"


class PairedTable:
    """Scores by way, case and metric.

    Args:
        higher_is_better: of each metric, by name; the order is the table's.
    """

    def __init__(self, higher_is_better: Mapping[str, bool]) -> None:
        self.higher_is_better = dict(higher_is_better)
        self._scores: dict[str, dict[str, Mapping[str, float]]] = {}

    def add(self, way: str, case: str, scores: Mapping[str, float]) -> None:
        """Keep the scores of a case done in one way.

        Raises:
            ValueError: a metric is missing or not finite, or the case is there already.
        """
        if missing := [m for m in self.higher_is_better if not math.isfinite(scores.get(m, math.nan))]:
            raise ValueError(f"{way}, {case}: no score of {', '.join(missing)}")
        cases = self._scores.setdefault(way, {})
        if case in cases:
            raise ValueError(f"{way}, {case}: twice")
        cases[case] = dict(scores)

    @property
    def ways(self) -> list[str]:
        """All ways, in the order of their first case."""
        return list(self._scores)

    def values(self, way: str, metric: str) -> Array:
        """Return a way's scores, by the order of its cases."""
        return np.array([scores[metric] for scores in self._scores[way].values()])

    def duel(self, ours: str, theirs: str, metric: str) -> Duel:
        """Count the cases, of those that both did, that `ours` scored strictly better."""
        sign = 1 if self.higher_is_better[metric] else -1
        shared = self._scores[ours].keys() & self._scores[theirs].keys()
        leads = [
            sign * (self._scores[ours][c][metric] - self._scores[theirs][c][metric]) for c in sorted(shared)
        ]
        return Duel(sum(lead > 0 for lead in leads), sum(lead == 0 for lead in leads), len(leads))

    def text(self, ours: str | None = None, metric: str | None = None) -> str:
        """Return a Markdown table of means with bootstrap intervals of 95 %.

        Args:
            ours: adds how often it beats each other way, with Wilson's interval of 95 %.
            metric: by which; the first by default.
        """
        metric = metric or next(iter(self.higher_is_better))
        arrows = [f"{m} {'↑' if up else '↓'}" for m, up in self.higher_is_better.items()]
        head = ["", "n", *arrows, *([f"beaten by {ours} on {metric}"] if ours else [])]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for way in self.ways:
            cells = [way, str(len(self._scores[way]))]
            for name in self.higher_is_better:
                values = self.values(way, name)
                low, high = bootstrap(values)
                cells.append(f"{values.mean():.4g} [{low:.4g}, {high:.4g}]")
            if ours:
                cells.append("" if way == ours else str(self.duel(ours, way, metric)))
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)
