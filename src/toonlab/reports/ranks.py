"""Ranks that intervals bear out, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Interval = tuple[float, float]


class Rank(NamedTuple):
    """The best and the worst place that a run may have among those it was compared with."""

    best: int
    worst: int
    of: int

    def __str__(self) -> str:
        if self.best == self.worst:
            return f"{self.best} of {self.of}"
        everything = (self.best, self.worst) == (1, self.of)
        return "not separated" if everything else f"{self.best} to {self.worst} of {self.of}"


def ranks(intervals: Sequence[Interval | None], better: str) -> list[Rank | None]:
    """Rank runs as far as their intervals lie wholly apart.

    A place is certain if every other interval lies on one side. The intervals are of each run alone, though
    all saw the same images, so runs may differ more surely than they are said to; never less.

    Args:
        intervals: of each run's score; a run without one has no rank.
        better: `lower` or `higher`; any other score is not ranked.
    """
    known = [interval for interval in intervals if interval is not None]
    if better not in ("lower", "higher") or len(known) < 2:
        return [None] * len(intervals)

    def beats(ours: Interval, theirs: Interval) -> bool:
        return ours[1] < theirs[0] if better == "lower" else ours[0] > theirs[1]

    return [
        None
        if mine is None
        else Rank(
            best=1 + sum(beats(other, mine) for other in known),
            worst=len(known) - sum(beats(mine, other) for other in known),
            of=len(known),
        )
        for mine in intervals
    ]
