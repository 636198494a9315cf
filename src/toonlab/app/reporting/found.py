"""Scores that were found or made, in one form for every kind of run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from toonlab.reports.scores import Scored, sets_of

Report = Mapping[str, Any]


class Found(NamedTuple):
    """A report on a checkpoint, and what that checkpoint says of itself."""

    report: Report
    config: Mapping[str, Any]
    iteration: int
    checkpoint: Path
    direction: str
    styles: Mapping[str, Report] = {}  # by name, of a run that has several

    @property
    def completes(self) -> bool:
        """Whether it fills holes rather than paints."""
        return bool(self.report["about"]["kind"] == "holes")

    @property
    def scored(self) -> Scored:
        """The scores as the page wants them."""
        return self._scored(self.report, self.styles)

    def _scored(self, report: Report, styles: Mapping[str, Report]) -> Scored:
        sets = [sets_of(each) for each in styles.values()] or [sets_of(report)]
        return Scored(
            iteration=self.iteration,
            is_best=self.checkpoint.stem == "best",
            scores=report["scores"],
            intervals={name: (low, high) for name, (low, high) in report.get("intervals", {}).items()},
            sets=" ".join([*sets, *styles]),
            kind=report["about"]["kind"],
            n=report["protocol"]["images"]["n"],
            others=report.get("others", {}),
            styles={style: self._scored(each, {}) for style, each in styles.items()},
        )


def mean_of(reports: Sequence[Report]) -> Report:
    """Return the means of several reports' scores.

    The ends of an interval are the means of the ends: right if all styles err together, as they may, for
    they paint the same photos; else a little too wide.
    """
    names = [name for name in reports[0]["scores"] if all(name in each["scores"] for each in reports)]
    first = reports[0]
    scores = {}
    for name in names:
        rows = [each["scores"][name] for each in reports]
        scores[name] = {
            key: fmean(row[key] for row in rows) if isinstance(value, float) else value
            for key, value in rows[0].items()
            if all(isinstance(row[key], type(value)) for row in rows)
        }
    intervals = {
        name: tuple(fmean(each["intervals"][name][end] for each in reports) for end in (0, 1))
        for name in names
        if all(name in each.get("intervals", {}) for each in reports)
    }
    return {**first, "scores": scores, "intervals": intervals}


def kept_report(path: Path) -> dict[str, Any] | None:
    """Read a `report.json` of `src/eval.py`; None if there is none, or it is no report on one painter."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if {"about", "scores", "protocol"} <= content.keys() else None
