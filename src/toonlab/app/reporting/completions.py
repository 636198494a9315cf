"""Scores of a run that completes damaged photos, on its test part, in its holes alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from toonlab.app.evaluate_holes import HIGHER_IS_BETTER, score_holes
from toonlab.app.reporting.found import Report
from toonlab.app.setup import make
from toonlab.metrics.paired_table import bootstrap
from toonlab.reports.record import RunRecord

log = logging.getLogger(__name__)

OURS = "completed"


def find_or_score_completions(
    cfg: DictConfig, run: RunRecord, content: Mapping[str, Any], checkpoint: Path, ours: Path
) -> Report:
    """Return the report on a completing run's checkpoint, kept in the folder `ours`.

    Args:
        cfg: of the report: `holes`, `resamples`, `rescore`, and see `score_holes`.
        run: which.
        content: of its checkpoint.
        checkpoint: its file.
        ours: where the raw scores are kept.
    """
    holes: Any = OmegaConf.to_container(cfg.holes, resolve=True)
    raw = None if cfg.rescore else _kept(ours / "report.json", holes)
    if raw is None:
        log.info("scoring %s", run.name)
        config = content["toonlab"]["config"]
        own = OmegaConf.create({**cfg, "ckpt": str(checkpoint), "bank": None, "bank_size": None})
        data = make(OmegaConf.create({"data": config["data"]}), "data", extras=[])
        about = {
            "checkpoint": str(checkpoint),
            "iteration": content["toonlab"]["iteration"],
            "part": "test",
            "data": config["data"],
            "holes": holes,
        }
        score_holes(own, content, data, "test", ours, about)
        raw = _kept(ours / "report.json", holes)
        assert raw is not None  # noqa: S101 (just written)
    return _as_report(raw, resamples=cfg.resamples)


def _kept(path: Path, holes: Any) -> dict[str, Any] | None:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return raw if raw.get("about", {}).get("holes") == holes else None


def _as_report(raw: Mapping[str, Any], *, resamples: int) -> Report:
    """Turn scores a photo into means with their intervals, beside those of the other ways."""
    ways = {
        way: {name: np.array(values) for name, values in rows.items()} for way, rows in raw["scores"].items()
    }
    mine = ways.pop(OURS)
    n = len(next(iter(mine.values())))
    scores = {
        name: {
            "value": float(values.mean()),
            "better": "higher" if name in HIGHER_IS_BETTER else "lower",
            "n": n,
        }
        for name, values in mine.items()
    }
    intervals = (
        {name: bootstrap(values, resamples=resamples) for name, values in mine.items()} if resamples else {}
    )
    return {
        "scores": scores,
        "intervals": intervals,
        "others": {
            way: {name: float(values.mean()) for name, values in rows.items()} for way, rows in ways.items()
        },
        "about": raw["about"],
        "protocol": {"holes": raw["about"]["holes"], "images": {"n": n}},
    }
