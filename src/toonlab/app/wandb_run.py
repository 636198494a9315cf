"""Weights & Biases: a mirror of the run folder, never the record."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf

from toonlab.errors import UsageError

MODES = ("online", "offline", "disabled")


def start(cfg: DictConfig, folder: Path) -> WandbLogger | None:
    """Open the run that belongs to this folder, or None without `logger=wandb`.

    Its id is kept in `wandb_id`, so a resumed run goes on in the same W&B run.

    Raises:
        UsageError: an unknown mode.
    """
    if cfg.wandb is None:
        return None
    if cfg.wandb.mode not in MODES:
        raise UsageError(f"wandb.mode={cfg.wandb.mode}: use one of {', '.join(MODES)}")
    kept = folder / "wandb_id"
    if not kept.exists():
        kept.write_text(secrets.token_hex(4))
    settings: dict[str, Any] = OmegaConf.to_container(cfg.wandb, resolve=True)  # type: ignore[assignment]
    logger = WandbLogger(id=kept.read_text().strip(), save_dir=str(folder), resume="allow", **settings)
    logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    if hasattr(logger.experiment, "define_metric"):  # not on ranks above 0
        logger.experiment.define_metric("iteration")
        logger.experiment.define_metric("*", step_metric="iteration")
    return logger


def finish(logger: WandbLogger | None, *, exit_code: int) -> None:
    """Close the run; W&B shows it as crashed unless the code is 0."""
    if logger is not None:
        import wandb  # seconds to import, and most runs do without

        wandb.finish(exit_code=exit_code)
