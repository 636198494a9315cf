"""What paints: a checkpoint's generator, or a method that needs no training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from torch import nn

from toonlab.app.runtime import is_onnx, onnx_painter, with_runtime
from toonlab.app.setup import make
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.checkpoint import Loaded, in_style
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.inference.quality import AUTO, small_copy
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.shipped import DEFAULT, shipped

log = logging.getLogger(__name__)


def painter(cfg: DictConfig, style: str | None = None, checkpoint: Mapping[str, Any] | None = None) -> Loaded:
    """Load `cfg.ckpt` in `style`, by default `cfg.style`, or build `cfg.method`.

    Args:
        cfg: says what paints.
        style: of a checkpoint that holds several.
        checkpoint: what `cfg.ckpt` holds, if it has been read already.

    Raises:
        UsageError: both are given, the method has to be trained first, the checkpoint is none of ours, or
            `cfg.packs` and `cfg.style` do not fit it.
    """
    if is_onnx(cfg):
        return onnx_painter(cfg)
    if "method" not in cfg:
        loaded = in_style(with_packs(cfg, checkpoint), style or chosen_style(cfg.style))
        if loaded.style:
            log.info("style: %s", " + ".join(f"{share:.0%} {name}" for name, share in loaded.style.items()))
        return with_runtime(cfg, loaded) if "runtime" in cfg else loaded
    if not OmegaConf.is_missing(cfg, "ckpt"):
        raise UsageError("a checkpoint paints, or a method without one: give ckpt=… or method=…, not both")
    if cfg.style is not None or cfg.packs is not None:
        raise UsageError("style=… and packs=… are for checkpoints: give ckpt=RUN_DIR, or leave them out")
    return Loaded(drawer(cfg), {}, {}, 0)


def settle_network(cfg: DictConfig) -> None:
    """Let the network that comes with toonlab paint where neither a checkpoint nor a method is named.

    Raises:
        UsageError: none comes with this toonlab.
    """
    if "method" in cfg or not OmegaConf.is_missing(cfg, "ckpt"):
        return
    if DEFAULT not in shipped():
        raise UsageError("ckpt=… is required: no network comes with this toonlab; or draw with method=flow")
    log.info("no ckpt=… named: painting with %s, which comes with toonlab", DEFAULT)
    cfg.ckpt = DEFAULT


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


def stylizer(
    loaded: Loaded,
    *,
    device: torch.device,
    tile: int | None,
    strength: float = 1.0,
    quality: str = AUTO,
    fast: Mapping[str, Any] | None = None,
    broad: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Stylizer:
    """Make the painter ready for pictures of any size.

    Args:
        loaded: the network and what it asks of its painter.
        device: where it works.
        tile: see `Stylizer`.
        strength: see `Stylizer`.
        quality: see `small_copy`; so are `fast` and `broad`, its settings.
        fast: of `quality=fast`.
        broad: of `quality=broad`.
        settings: further ones of `Stylizer`.

    Raises:
        UsageError: a setting is out of range.
    """
    return Stylizer(
        loaded.generator,
        multiple=getattr(loaded.generator, "multiple", 1),
        output_filter=OutputFilter.of(loaded.painting),
        strength=strength,
        tile=tile,
        device=device,
        small=small_copy(quality, loaded.painting, fast=fast or {}, broad=broad or {}),
        **settings,
    )
