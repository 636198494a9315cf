"""The dashboards that mirror a run folder: none, one or several, each told the same."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from toonlab.app.resume import DASHBOARDS
from toonlab.engine.records import replay
from toonlab.errors import UsageError, check_choice
from toonlab.sweeps.worker import SWEEP

log = logging.getLogger(__name__)

MODES = ("online", "offline", "disabled")

Status = Literal["finished", "failed", "interrupted"]


class Mirror(Protocol):
    """A logger that knows whether it goes on with an earlier record, and how a run may end."""

    is_new: bool

    def close(self, status: Status) -> None: ...


def settle(cfg: DictConfig, folder: Path) -> None:
    """Refuse what cannot be logged to, and name the run once and for all: a resumed one keeps its names.

    Raises:
        UsageError: a package is missing, or the mode is unknown.
    """
    for name in ("tensorboard", "mlflow"):
        if cfg.get(name) is not None and find_spec(name) is None:
            raise UsageError(f"logger={name}: not installed; pip install -e '.[{name}]' in toonlab's folder")
    if (wandb := cfg.get("wandb")) is not None:
        check_choice("wandb.mode", wandb.mode, MODES)
        wandb.name = wandb.get("name") or folder.name
        wandb.group = wandb.get("group") or sweep_name()
        wandb.job_type = wandb.get("job_type") or HydraConfig.get().runtime.choices["method"]
    if (mlflow := cfg.get("mlflow")) is not None:
        mlflow.name = mlflow.get("name") or folder.name
        given = {"method": HydraConfig.get().runtime.choices["method"], "folder": str(folder)}
        mlflow.tags = {"sweep": sweep_name() or "", **given, **mlflow.tags}


def sweep_name() -> str | None:
    """Return the name of the sweep that this run is a job of; None if it is alone."""
    if name := os.environ.get(SWEEP):
        return name
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None


def start(cfg: DictConfig, folder: Path, *, done: int) -> list[Logger]:
    """Open the run's place in each dashboard, and tell the new ones what `done` iterations have left behind.

    Raises:
        UsageError: a server does not answer.
    """
    opened: list[Logger] = []
    try:
        for name in DASHBOARDS:
            if cfg.get(name) is not None:
                opened.append(_open(name, cfg, folder, done))
                if done and cast("Mirror", opened[-1]).is_new:
                    replay(opened[-1], folder, done)
    except BaseException:
        finish(opened, "failed")
        raise
    return opened


def finish(loggers: Sequence[Logger], status: Status) -> None:
    """Close the run everywhere, so that each dashboard shows how it ended; a killed one stays open."""
    for logger in loggers:
        cast("Mirror", logger).close(status)


def _open(name: str, cfg: DictConfig, folder: Path, done: int) -> Logger:
    # Each takes seconds to import, and most runs do without.
    if name == "wandb":
        from toonlab.app.wandb_run import WandbMirror

        return WandbMirror(cfg, folder)
    if name == "tensorboard":
        from toonlab.app.tensorboard_run import TensorBoardMirror

        return TensorBoardMirror(cfg, folder, done=done)
    from toonlab.app.mlflow_run import MlflowMirror

    return MlflowMirror(cfg, folder)
