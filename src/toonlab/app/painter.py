"""What paints: a checkpoint's generator, or a method that needs no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch import nn

from toonlab.app.setup import make
from toonlab.engine.checkpoint import Loaded, load_generator
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.inference.stylizer import OutputFilter, Stylizer


def painter(cfg: DictConfig, style: str | None = None) -> Loaded:
    """Load `cfg.ckpt` in `style`, by default `cfg.style`, or build `cfg.method`.

    Raises:
        UsageError: both are given, the method has to be trained first, or the checkpoint is none of ours.
    """
    if "method" not in cfg:
        asked: Any = OmegaConf.to_container(cfg.style) if OmegaConf.is_config(cfg.style) else cfg.style
        return load_generator(
            Path(cfg.ckpt).expanduser(), average=cfg.average, reverse=cfg.reverse, style=style or asked
        )
    if not OmegaConf.is_missing(cfg, "ckpt"):
        raise UsageError("a checkpoint paints, or a method without one: give ckpt=… or method=…, not both")
    return Loaded(drawer(cfg), {}, {}, 0)


def drawer(cfg: DictConfig) -> nn.Module:
    """Build `cfg.method`, which needs no training.

    Raises:
        UsageError: it does.
    """
    name = cfg.method._target_
    kind = get_object(name)
    if isinstance(kind, type) and issubclass(kind, ToonMethod):
        raise UsageError(
            f"{kind.__name__} has to be trained before it paints: give ckpt=RUN_DIR instead, or method=flow"
        )
    drawing: nn.Module = make(cfg, "method")
    return drawing


def stylizer(loaded: Loaded, *, device: torch.device, tile: int | None, strength: float = 1.0) -> Stylizer:
    """Make the painter ready for pictures of any size."""
    output_filter = loaded.painting.get("output_filter")
    return Stylizer(
        loaded.generator,
        multiple=getattr(loaded.generator, "multiple", 1),
        output_filter=OutputFilter(**output_filter) if output_filter else None,
        strength=strength,
        tile=tile,
        device=device,
    )
