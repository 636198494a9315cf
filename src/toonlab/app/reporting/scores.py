"""A run's scores on its test part: those it has, or new ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from toonlab.app.evaluate import score
from toonlab.app.setup import make
from toonlab.engine.checkpoint import read, rebuild
from toonlab.errors import UsageError
from toonlab.reports.record import RunRecord
from toonlab.reports.scores import Scored, sets_of

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A report on a checkpoint, and what that checkpoint says of itself."""

    report: Mapping[str, Any]
    config: Mapping[str, Any]
    iteration: int
    checkpoint: Path
    direction: str

    @property
    def scored(self) -> Scored:
        """The scores as the page wants them."""
        return Scored(
            iteration=self.iteration,
            is_best=self.checkpoint.stem == "best",
            scores=self.report["scores"],
            intervals={name: (low, high) for name, (low, high) in self.report.get("intervals", {}).items()},
            sets=sets_of(self.report),
            kind=self.report["about"]["kind"],
            n=self.report["protocol"]["images"]["n"],
        )


def find_or_score(cfg: DictConfig, run: RunRecord) -> Found:
    """Return the scores of a run's best checkpoint on its test part; score it if nobody has.

    Scores of `src/eval.py` count too, if they are of this checkpoint, part, data and metrics.

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
    if "added" in config.get("method", {}):
        raise UsageError(f"holds several styles; src/eval.py ckpt={run.folder} compares these")
    if config.get("method", {}).get("needs_ckpt"):
        raise UsageError(f"completes damaged photos; src/eval.py ckpt={run.folder} scores that")
    if "data" not in config:
        raise UsageError("imported weights have no test part; src/eval.py data=unpaired scores them")
    metrics: Any = OmegaConf.to_container(cfg.metrics, resolve=True)
    ours = run.folder / "eval" / f"ladder_{checkpoint.stem}_{iteration:07d}"
    if not cfg.rescore:
        for path in _reports(run.folder, ours):
            report = _json(path)
            if report is None or report["about"].get("metrics") != metrics:
                continue
            if path.parent == ours or _is_of(report, checkpoint, iteration, config):
                return Found(report, config, iteration, checkpoint, direction)
    log.info("scoring %s", run.name)
    data = make(OmegaConf.create({"data": config["data"]}), "data", extras=[])
    facts = {"checkpoint": str(checkpoint), "iteration": iteration, "weights": "EMA", "part": "test"}
    loaded = rebuild(content, checkpoint)
    score(cfg, loaded, data, "test", ours, facts | {"data": config["data"]})
    report = _json(ours / "report.json")
    assert report is not None  # noqa: S101 (just written)
    return Found(report, config, iteration, checkpoint, direction)


def _reports(run: Path, ours: Path) -> Iterator[Path]:
    """Yield our own report first, then others, the newest first."""
    yield ours / "report.json"
    yield from sorted((run / "eval").glob("*/report.json"), reverse=True)


def _is_of(report: Mapping[str, Any], checkpoint: Path, iteration: int, config: Mapping[str, Any]) -> bool:
    """Whether `src/eval.py` scored just what we would."""
    about = report.get("about", {})
    named = Path(str(about.get("checkpoint", "")))
    if named == checkpoint.parent.parent.resolve():
        named /= "checkpoints/last.ckpt"  # a run folder means that
    expected = {"iteration": iteration, "weights": "EMA", "part": "test", "data": config["data"]}
    return named == checkpoint.resolve() and all(about.get(key) == value for key, value in expected.items())


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if {"about", "scores", "protocol"} <= content.keys() else None
