"""What metrics say of a vote's models: out of the reports that `src/eval.py` and `src/report.py` left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from toonlab.app.reporting.found import kept_report
from toonlab.app.voting.entrants import PHOTO, settings_of
from toonlab.errors import UsageError
from toonlab.reports.scores import sets_of
from toonlab.votes.manifest import Model
from toonlab.votes.results import Metric

_NO_DISTANCE = ("kid_std", "nn1_real", "nn1_fake", "nn1_p")
"""Parts of other scores."""


def metrics_of(models: Sequence[Model], folders: Sequence[Path]) -> list[Metric]:
    """Return the models' scores, of one way of scoring: the one that most of the models have.

    Scores of other images, or of another part, are not beside each other. `photo` has what the reports say of
    their unpainted photos. Where no report is kept, the last validation scores of `result.json` stand in.

    Args:
        models: whose.
        folders: searched for `report.json`, besides each run's own `eval/`.

    Raises:
        UsageError: no such folder.
    """
    for folder in folders:
        if not folder.exists():
            raise UsageError(f"scores={folder}: no such folder or file")
    named = [report for folder in folders for report in _reports(folder)]
    ways: dict[str, dict[int, Mapping[str, Any]]] = {}
    for number, model in enumerate(models):
        own = _reports(Path(model.run) / "eval") if model.run else iter(())
        for report in [*own, *named]:
            if _is_of(report, model):
                ways.setdefault(sets_of(report), {}).setdefault(number, report)
    if not ways:
        return _validation(models)
    reports = max(ways.values(), key=len)
    first = next(iter(reports.values()))
    found = []
    for name, score in first["scores"].items():
        if score["better"] == "none" or name.startswith(_NO_DISTANCE):
            continue
        values = [
            score.get("source_as_is") if model.kind == PHOTO else _value(reports.get(i), name)
            for i, model in enumerate(models)
        ]
        found.append(Metric(name, str(score["better"]), values))
    return found


def _reports(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the reports on one painter each, the newest first."""
    files = [folder] if folder.is_file() else folder.glob("**/report.json")
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        if report := kept_report(path):
            yield report


def _is_of(report: Mapping[str, Any], model: Model) -> bool:
    """Whether a report is on just this painter."""
    about = report["about"]
    if model.kind == "method":
        return bool(about.get("method") == settings_of(model.source))
    if model.kind == PHOTO or not about.get("checkpoint"):
        return False
    scored = Path(str(about["checkpoint"]))
    if scored == Path(model.run):
        scored /= "checkpoints/last.ckpt"  # a run folder means that
    style = model.settings.get("style")
    styles = about.get("domain"), about.get("style"), *list(about.get("style") or ())
    usual = not {"strength", "reverse", "packs", "average"} & model.settings.keys()
    return usual and scored == Path(model.source) and (style is None or style in styles)


def _value(report: Mapping[str, Any] | None, name: str) -> float | None:
    score = (report or {}).get("scores", {}).get(name)
    return None if score is None else float(score["value"])


def _validation(models: Sequence[Model]) -> list[Metric]:
    """Return the scores of the runs' last validation, of runs that were validated on the same data."""
    results = [_json(Path(model.run) / "result.json") if model.run else {} for model in models]
    scores = [result.get("validation") or {} for result in results]
    names = dict.fromkeys(name for each in scores for name in each)
    found = []
    for name in names:
        better = _direction(name)
        values = [each.get(name) for each in scores]
        if better and sum(value is not None for value in values) > 1:
            found.append(Metric(f"val/{name}", better, values))
    return found


def _direction(name: str) -> str | None:
    """Return which way a validation score is better; None for baselines and for parts of other scores."""
    if name.endswith(("_real_vs_real", "_source_as_is", "_unrelated")) or name.startswith(_NO_DISTANCE):
        return None
    if name.startswith(("kid", "fid", "fd", "mmd", "content")):
        return "lower"
    if name.startswith("edge_f1"):
        return "higher"
    return "toward 1/2" if name.startswith("nn1") else None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
