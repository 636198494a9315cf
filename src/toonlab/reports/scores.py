"""The scores of runs in one table: which ones, in what words, and who may be compared with whom."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toonlab.reports.ranks import Interval, Rank, ranks

_KINDS = {  # by the beginning of the score's name; the rest is the feature network
    "kid": "KID",
    "fid": "FID",
    "fd": "FD",
    "content": "Content",
    "edge_f1": "Edge F1",
    "nn1": "1-NN",
    "hole_l1": "Hole L1",
    "hole_psnr": "Hole PSNR",
    "hole": "Hole distance",
}
_NOT_SHOWN = ("kid_std", "nn1_real", "nn1_fake", "nn1_p")
ARROWS = {"lower": "↓", "higher": "↑", "toward 1/2": "→ ½"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """A run's scores on its test part, as `report.json` has them."""

    iteration: int
    is_best: bool  # chosen by validation, or else the last
    scores: Mapping[str, Mapping[str, Any]]
    intervals: Mapping[str, Interval]
    sets: str  # equal for runs that were scored on the same images in the same way
    kind: str
    n: int
    others: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """Scores of other ways to do the same, by what they are called."""
    styles: Mapping[str, Scored] = dataclasses.field(default_factory=dict)
    """Of a run with several styles; its own scores are their means."""


class Metric(NamedTuple):
    """A column."""

    name: str
    title: str
    better: str

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return ARROWS.get(self.better, "")


class Cell(NamedTuple):
    """A run's place in a column."""

    value: float
    interval: Interval | None
    rank: Rank | None


def metrics_of(scored: Sequence[Scored]) -> list[Metric]:
    """Return the columns: one for each kind of score that any run has, in a fixed order."""
    found: dict[str, Metric] = {}
    for each in scored:
        for name, score in each.scores.items():
            kind = next((kind for kind in _KINDS if name == kind or name.startswith(f"{kind}_")), None)
            if kind and not name.startswith(_NOT_SHOWN):
                found.setdefault(name, Metric(name, _KINDS[kind], str(score["better"])))
    order = list(_KINDS.values())
    return sorted(found.values(), key=lambda metric: order.index(metric.title))


def cells(scored: Sequence[Scored | None], metric: Metric) -> list[Cell | None]:
    """Return a column; ranks are among runs that were scored on the same sets."""
    column: list[Cell | None] = [None] * len(scored)
    for sets in dict.fromkeys(each.sets for each in scored if each is not None):
        places = [
            i for i, each in enumerate(scored) if each and each.sets == sets and metric.name in each.scores
        ]
        members = [each for i in places if (each := scored[i])]
        intervals = [each.intervals.get(metric.name) for each in members]
        placed = ranks(intervals, metric.better)
        for i, each, interval, rank in zip(places, members, intervals, placed, strict=True):
            column[i] = Cell(float(each.scores[metric.name]["value"]), interval, rank)
    return column


def baselines(scored: Sequence[Scored], metrics: Sequence[Metric]) -> list[tuple[str, list[float | None]]]:
    """Return a titled row for each baseline and each collection of sets: nothing done, real against real."""
    rows = []
    collections = {each.sets: each for each in scored}
    for number, each in enumerate(collections.values(), start=1):
        which = f", sets {number}" if len(collections) > 1 else ""
        rows += [
            (way + which, [row.get(metric.name) for metric in metrics]) for way, row in each.others.items()
        ]
        if each.others:
            continue
        source, target = ("photos", "cartoons")[:: 1 if each.kind == "to_cartoon" else -1]
        titles = {"source_as_is": f"{source} as they are", "real_vs_real": f"{target} against {target}"}
        for level, title in titles.items():
            row = [each.scores.get(metric.name, {}).get(level) for metric in metrics]
            rows.append((title + which, row))
    return rows


def sets_of(report: Mapping[str, Any]) -> str:
    """Name the images and the way of scoring that a `report.json` is of."""
    about, protocol = report["about"], report["protocol"]
    return json.dumps(
        [about.get("kind"), about.get("part"), data_of(about.get("data") or {}), protocol],
        sort_keys=True,
        default=str,
    )


_OF_TRAINING = frozenset(
    {"seed", "batch_size", "eval_batch_size", "eval_images", "workers", "zoom", "flip", "derived", "overfit"}
) | {"teacher", "styles", "domain_weights", "cache_dir"}


def data_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a data set that choose its held-out images."""
    computed = str(data.get("_target_", "")).endswith(".SyntheticData")  # its seed is its content
    kept = _OF_TRAINING - ({"seed"} if computed else set())
    return {key: value for key, value in data.items() if key not in kept}
