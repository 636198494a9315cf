"""Which of the numbers in `metrics.jsonl` become charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from toonlab.reports.chart import Level, Line, chart
from toonlab.reports.record import RunRecord
from toonlab.reports.scores import ARROWS, Metric

_LOG_FROM = 30  # largest over smallest value, above which a loss is drawn on a logarithmic scale


class Figure(NamedTuple):
    """A chart with its title and a note on how to read it."""

    title: str
    note: str
    svg: str


def score_figures(runs: Sequence[RunRecord], metrics: Sequence[Metric]) -> list[Figure]:
    """Return the validation scores while training, with both baselines of the first run that has them."""
    figures = []
    for metric in metrics:
        name = f"val/{metric.name}"
        lines = _lines(runs, name)
        if not lines:
            continue
        levels = [
            Level(title, value)
            for title, suffix in (("as is", "source_as_is"), ("real vs real", "real_vs_real"))
            if (value := _last(runs, f"{name}_{suffix}")) is not None
        ]
        note = f"validation, better {ARROWS.get(metric.better, '')}".strip()
        figures.append(Figure(metric.title, note, chart(metric.title, lines, levels)))
    return figures


def loss_figures(runs: Sequence[RunRecord]) -> list[Figure]:
    """Return the losses of both sides, their totals first."""
    keys = dict.fromkeys(
        key
        for run in runs
        for line in run.lines
        for key in line
        if key.startswith(("generator/", "discriminator/"))
    )
    figures = []
    for key in sorted(
        keys, key=lambda key: (not key.endswith("/total"), not key.startswith("generator"), key)
    ):
        if lines := _lines(runs, key):
            values = [y for line in lines for _, y in line.points]
            log = min(values) > 0 and max(values) / min(values) > _LOG_FROM
            side, _, name = key.partition("/")
            note = f"{side}{', logarithmic' if log else ''}"
            figures.append(Figure(name, note, chart(f"{side} {name}", lines, log=log)))
    return figures


def _lines(runs: Sequence[RunRecord], key: str) -> list[Line]:
    found = []
    for number, run in enumerate(runs):
        points = [
            (float(line["iteration"]), float(line[key]))
            for line in run.lines
            if isinstance(line.get(key), int | float) and math.isfinite(line[key])
        ]
        if points:
            found.append(Line(number, run.name, points))
    return found


def _last(runs: Sequence[RunRecord], key: str) -> float | None:
    for run in runs:
        for line in reversed(run.lines):
            if key in line:
                return float(line[key])
    return None
