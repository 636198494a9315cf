"""Settings of `stylize.py` that say how to paint and how to write, from the config."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig

from toonlab.app.precision import check_painting
from toonlab.app.setup import as_plain
from toonlab.errors import UsageError, check_choice
from toonlab.inference.batch import Outcome, stylize_all
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.pipeline import stylize_piped
from toonlab.inference.planning import Plan
from toonlab.inference.quality import CHOICES, KINDS
from toonlab.inference.stylizer import Stylizer


def painting_settings(cfg: DictConfig, device: torch.device) -> dict[str, Any]:
    """Return what `painter.stylizer` takes beyond checkpoint, device, tile and strength.

    Raises:
        UsageError: a value is none of those allowed, or this CPU has no such arithmetic.
    """
    check_painting(cfg.precision, device)
    check_choice("quality", cfg.quality, CHOICES)
    settings = {kind: as_plain(cfg[kind]) for kind in KINDS}
    for kind, given in settings.items():
        KINDS[kind](**given)  # refused now, not when the network has been loaded
    return {
        "keep_color": cfg.keep_color,
        "tiles": cfg.tiles,
        "precision": cfg.precision,
        "quality": cfg.quality,
        **settings,
    }


def encoding(cfg: DictConfig) -> Encoding:
    """Return how cartoons are written.

    Raises:
        UsageError: a value is out of range.
    """
    return Encoding(file_quality=cfg.file_quality, lossless=cfg.lossless, bits=str(cfg.bits))  # type: ignore[arg-type]


def paint_all(cfg: DictConfig, stylizer: Stylizer, plan: Plan, how: Encoding) -> Outcome:
    """Paint what was planned, with as many workers as the config says."""
    if cfg.workers == 0 and cfg.batch == 1:
        return stylize_all(stylizer, plan, progress=True, encoding=how)
    workers = max(cfg.workers, 1)
    return stylize_piped(stylizer, plan, progress=True, encoding=how, workers=workers, batch=cfg.batch)


def check_counts(cfg: DictConfig) -> None:
    """Refuse numbers of workers and photos that are none.

    Raises:
        UsageError: one is.
    """
    for key, least in (("workers", 0), ("batch", 1)):
        if not isinstance(cfg[key], int) or isinstance(cfg[key], bool) or cfg[key] < least:
            raise UsageError(f"{key}={cfg[key]}: a whole number, {least} or more")
