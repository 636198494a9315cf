"""What completes for `src/inpaint.py`: a trained run, or a search around any generator that has a latent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from toonlab.app.bank import bank_for, remember_bank
from toonlab.app.cli import CONF
from toonlab.app.styles import chosen_style
from toonlab.engine.checkpoint import read
from toonlab.errors import UsageError, check_choice
from toonlab.methods.latent_inpainting import LatentInpainting
from toonlab.methods.latent_search import LatentSearch
from toonlab.methods.loaded_inpainting import rebuild_inpainting

log = logging.getLogger(__name__)


def completer(cfg: DictConfig, device: torch.device) -> LatentInpainting:
    """Load `cfg.ckpt` for completing, with its bank if it searches.

    Raises:
        UsageError: the checkpoint cannot complete, or not as asked; or it searches and there is no bank.
    """
    path = Path(cfg.ckpt).expanduser()
    if cfg.completion is not None:
        check_choice("completion", cfg.completion, ["learned", "search"])
    checkpoint = read(path)
    method = rebuild_inpainting(
        checkpoint,
        path,
        settings=_settings(cfg),
        completion=cfg.completion,
        style=chosen_style(cfg.style),
    ).to(device)
    changes = {key: value for key, value in cfg.search.items() if value is not None}
    if changes and not method.searching:
        raise UsageError(
            f"search.{next(iter(changes))}: this checkpoint was trained to complete; add completion=search"
        )
    if method.searching:
        method.search = LatentSearch(**{**vars(method.search), **changes})
        config = checkpoint["toonlab"]["config"]
        remember_bank(cfg, config)
        if cfg.bank is None:
            cfg.bank = _own_photos(config)
    if method.searching or cfg.bank:
        method.bank = bank_for(cfg, method)
    return method


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """Return what `method=latent_inpainting` says of a search, for checkpoints of other methods."""
    files = [OmegaConf.load(CONF / name) for name in ("method_base.yaml", "method/latent_inpainting.yaml")]
    # What hangs on the rest of a training's config is of no use without a training.
    merged = OmegaConf.merge(*files, {"seed": cfg.seed, "warmup_iterations": 0, "warmup_weights": {}})
    settings: dict[str, Any] = OmegaConf.to_container(merged, resolve=False)  # type: ignore[assignment]
    return settings


def _own_photos(config: Mapping[str, Any]) -> str | None:
    """Return the folder of photos that a checkpoint was trained on; None if it is not known or not here."""
    data = config.get("data") or {}
    photos = data.get("photos")
    if data.get("_target_", "").endswith(".DemoData"):
        photos = str(Path(data["cache_dir"]) / "demo" / "train" / "photos")
    if not isinstance(photos, str) or not Path(photos).is_dir():
        return None
    log.info("bank: the photos that it was trained on, %s", photos)
    return photos
