"""A run's scores on its test part: those it has, or new ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toonlab.app.evaluate import score
from toonlab.app.evaluate_domains import domains_to_score
from toonlab.app.reporting.completions import find_or_score_completions
from toonlab.app.reporting.found import Found, kept_report, mean_of
from toonlab.app.setup import make
from toonlab.engine.checkpoint import in_style, read, rebuild
from toonlab.errors import UsageError
from toonlab.reports.record import RunRecord

log = logging.getLogger(__name__)


def find_or_score(cfg: DictConfig, run: RunRecord) -> Found:
    """Return the scores of a run's best checkpoint on its test part; score it if nobody has.

    Scores of `src/eval.py` count too, if they are of this checkpoint, part, data and metrics, and of one
    style. A run of several styles is scored in each; its own scores are their means.

    Raises:
        UsageError: there is nothing to score, or it cannot be scored; the message says why.
    """
    checkpoint = run.checkpoint
    if checkpoint is None:
        raise UsageError("has no checkpoint yet")
    content = read(checkpoint)
    about = content["toonlab"]
    config, iteration = about["config"], about["iteration"]
    direction = about["painting"].get("direction", "to_cartoon")
    if "data" not in config:
        raise UsageError("imported weights have no test part; src/eval.py data=unpaired scores them")
    ours = run.folder / "eval" / f"ladder_{checkpoint.stem}_{iteration:07d}"
    found = Found({}, config, iteration, checkpoint, direction)
    if config["method"].get("needs_ckpt"):
        return found._replace(report=find_or_score_completions(cfg, run, content, checkpoint, ours))
    styles = domains_to_score(OmegaConf.create({"ckpt": str(checkpoint), "style": None}), content)
    if not styles:
        return found._replace(report=_one(cfg, run, content, found, ours))
    reports = {style: _one(cfg, run, content, found, ours / style, style) for style in styles}
    return found._replace(report=mean_of(list(reports.values())), styles=reports)


def _one(
    cfg: DictConfig,
    run: RunRecord,
    content: Mapping[str, Any],
    found: Found,
    ours: Path,
    style: str | None = None,
) -> Mapping[str, Any]:
    """Return the report on one style, kept in the folder `ours`; None: the only one."""
    metrics: Any = OmegaConf.to_container(cfg.metrics, resolve=True)
    if not cfg.rescore:
        for path in _reports(run.folder, ours, style):
            report = kept_report(path)
            if report is None or report["about"].get("metrics") != metrics:
                continue
            if path.parent == ours or _is_of(report, found):
                return report
    log.info("scoring %s%s", run.name, f", {style}" if style else "")
    data = make(OmegaConf.create({"data": found.config["data"]}), "data", extras=["domain"] if style else [])
    facts = {
        "checkpoint": str(found.checkpoint),
        "iteration": found.iteration,
        "weights": "EMA",
        "part": "test",
        "data": found.config["data"],
    }
    loaded = in_style(rebuild(content, found.checkpoint), style)
    score(cfg, loaded, data, "test", ours, facts | ({"domain": style} if style else {}), style)
    report = kept_report(ours / "report.json")
    assert report is not None  # noqa: S101 (just written)
    return report


def _reports(run: Path, ours: Path, style: str | None) -> Iterator[Path]:
    """Yield our own report first, then others, the newest first."""
    yield ours / "report.json"
    if style is None:
        yield from sorted((run / "eval").glob("*/report.json"), reverse=True)


def _is_of(report: Mapping[str, Any], found: Found) -> bool:
    """Whether `src/eval.py` scored just what we would."""
    about = report.get("about", {})
    named = Path(str(about.get("checkpoint", "")))
    if named == found.checkpoint.parent.parent.resolve():
        named /= "checkpoints/last.ckpt"  # a run folder means that
    expected = {
        "iteration": found.iteration,
        "weights": "EMA",
        "part": "test",
        "data": found.config["data"],
    }
    return named == found.checkpoint.resolve() and all(
        about.get(key) == value for key, value in expected.items()
    )
