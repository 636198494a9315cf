"""Weights & Biases: a mirror of the run folder, never the record."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from toonlab.errors import UsageError

EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
"""W&B shows 0 as finished, 255 as killed, others as failed, and a run without any as crashed."""


class WandbMirror(WandbLogger):
    """The W&B run of a run folder; its id is in `wandb_id`, so a resumed run goes on in the same one.

    Our iteration is the x-axis of everything: W&B's own step may only rise, while iterations come back
    after a kill. An offline run that goes on is written anew, from the run folder, and the earlier one moved
    to `wandb/superseded`: one file that is complete, rather than parts to upload in the right order.

    Raises:
        UsageError: W&B cannot be reached, or knows no such user.
    """

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        settings: dict[str, Any] = OmegaConf.to_container(cfg.wandb, resolve=True)  # type: ignore[assignment]
        run = None if getattr(rank_zero_only, "rank", 0) else _begin(settings, folder)
        super().__init__(project=settings["project"], save_dir=str(folder), experiment=run)
        self.is_new = run is not None and not run.resumed
        self.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(dict(metrics) if step is None else {"iteration": step, **metrics})

    def close(self, status: str) -> None:
        if self._experiment is not None:
            self._experiment.finish(exit_code=EXIT_CODES[status])


def _begin(settings: dict[str, Any], folder: Path) -> Any:
    import wandb

    kept = folder / "wandb_id"
    if not kept.exists():
        kept.write_text(secrets.token_hex(4))
    name = kept.read_text().strip()
    online = settings["mode"] == "online"
    if not online:
        _supersede(folder / "wandb", name)
    # A run of its own even where one is open, as after a job of the same process that could not close it.
    try:
        run = wandb.init(
            id=name, dir=str(folder), resume="allow" if online else None, reinit="create_new", **settings
        )
    except (wandb.errors.Error, OSError) as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise UsageError(f"wandb.mode={settings['mode']}: {why}; wandb.mode=offline needs nothing") from error
    run.define_metric("iteration")
    run.define_metric("*", step_metric="iteration")
    return run


def _supersede(folder: Path, name: str) -> None:
    for earlier in sorted(folder.glob(f"offline-run-*-{name}")):
        (folder / "superseded").mkdir(exist_ok=True)
        earlier.rename(folder / "superseded" / earlier.name)
