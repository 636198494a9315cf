"""What `src/train.py` says and leaves behind: the first words, `result.json`, the last words."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from omegaconf import DictConfig

from toonlab.app.memory import peak_mib
from toonlab.app.setup import environment
from toonlab.engine.checkpoint import Checkpoints
from toonlab.engine.method import ToonMethod
from toonlab.engine.records import Records
from toonlab.engine.whole import write_whole

log = logging.getLogger(__name__)


def announce(cfg: DictConfig, method: ToonMethod, folder: Path, last: Path | None) -> None:
    """Say what is about to be trained, and where."""
    size = sum(p.numel() for p in method.generator.parameters())
    log.info(
        "%s: generator of %s parameters, %s iterations, run folder %s",
        type(method).__name__,
        f"{size:,}",
        f"{cfg.iterations:,}",
        folder,
    )
    for domain, facts in method.facts().get("domains", {}).items():
        log.info(
            "  %-16s %s parameters, %.2f %% of the plain generator's%s",
            domain,
            f"{facts['parameters']:,}",
            100 * facts["share"],
            "" if domain in method.trained else " (frozen)",
        )
    if last:
        log.info("Going on from %s", last)


def write_result(folder: Path, cfg: DictConfig, trainer: Trainer, method: ToonMethod, status: str) -> None:
    """Write `result.json`."""
    records, best = find(trainer, Records), find(trainer, Checkpoints)
    result = {
        "status": status,
        "method": type(method).__name__,
        "iterations": method.iteration,
        "seconds": round(records.seconds, 3),
        "images_per_second": round(records.images / records.seconds, 3) if records.seconds else None,
        "peak_memory_mib": peak_mib(),
        "validation": {"iteration": method.scored_at, **method.scores},
        "best": {"iteration": best.best_iteration, method.monitor or best.monitor: best.best_score},
        "generator_parameters": sum(p.numel() for p in method.generator.parameters()),
        **method.facts(),
        "seed": cfg.seed,
        **environment(),
    }
    write_whole(folder / "result.json", json.dumps(result, indent=2) + "\n")


def say_what_next(method: ToonMethod, folder: Path) -> None:
    """Print the commands that somebody whose run has finished would want."""
    if method.completes:
        log.info(
            "Finished %d iterations. Score it, then complete damaged photos with it:\n"
            "  python src/eval.py ckpt=%s\n"
            "  python src/inpaint.py ckpt=%s input=PHOTOS mask=MASKS output=COMPLETED",
            method.iteration,
            folder,
            folder,
        )
        return
    log.info(
        "Finished %d iterations. Score it, then paint with it:\n"
        "  python src/eval.py ckpt=%s\n  python src/stylize.py ckpt=%s %sinput=PHOTOS output=CARTOONS",
        method.iteration,
        folder,
        folder,
        f"style={method.trained[-1]} " if method.trained else "",
    )


def find(trainer: Trainer, kind: type[Any]) -> Any:
    """Return the trainer's callback of a kind."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))  # type: ignore[attr-defined]
