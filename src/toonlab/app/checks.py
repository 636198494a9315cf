"""What a configuration must be before `src/train.py` makes anything of it."""

from __future__ import annotations

import logging

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import LightningDataModule
from omegaconf import DictConfig

from toonlab.app.domains import learns_many
from toonlab.app.precision import check_precision
from toonlab.app.setup import make
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

FOLDERS = ("photos", "cartoons", "source", "val_photos", "val_cartoons", "val_source")
"""Keys that name folders of the user's."""


def check(cfg: DictConfig) -> None:
    """Refuse what does not go together, or not with this machine.

    Raises:
        UsageError: naming the key and the remedy.
    """
    for key in ("iterations", "log_every", "eval_every", "save_every"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise UsageError(f"{key}={cfg[key]}: a whole number of iterations, 1 or more")
    for key in FOLDERS:
        if cfg[key] is not None and key not in cfg.data:
            fits = "data=paired layout=concat" if "source" in key else "data=unpaired, or data=paired"
            if learns_many(cfg):
                fits = "data=multidomain domains={NAME: DIR, OTHER: DIR}"
            raise UsageError(f"{key}=… is not used by this data set; add {fits}")
    if cfg.layout != "folders" and "layout" not in cfg.data:
        raise UsageError(f"layout={cfg.layout} is not used by this data set; add data=paired source=DIR")
    accelerator = cfg.trainer.get("accelerator", "auto")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"trainer.accelerator={accelerator}: torch sees no GPU on this machine; use trainer=cpu"
        )
    check_precision(cfg)
    _check_preset(cfg)
    if accelerator == "cpu" and torch.cuda.is_available():
        log.info("This machine has a GPU; trainer=gpu would use it.")


def check_rate(cfg: DictConfig, begun: int) -> None:
    """Refuse to prolong a run of `begun` iterations whose learning rate has fallen to 0."""
    lr = cfg.method.get("lr", 1.0)
    rate = make(cfg, "method.lr") if isinstance(lr, DictConfig) else lr
    if callable(rate) and rate(begun) == 0 and rate(cfg.iterations - 1) == 0:
        raise UsageError(
            f"iterations={cfg.iterations}: method.lr has fallen to 0 by iteration {begun}, so nothing more "
            "is learnt; start a new run with the larger number: its learning rate falls later"
        )


def check_pairs(method: ToonMethod, data: LightningDataModule) -> None:
    """Refuse unpaired data for a method whose terms compare with a photo's own cartoon."""
    if method.needs_pairs and not getattr(data, "paired", False):
        name = HydraConfig.get().runtime.choices["method"]
        raise UsageError(
            f"method={name} learns from photos with their own cartoons ({', '.join(method.needs_pairs)}): "
            "use data=paired photos=DIR cartoons=DIR, or set their weights to 0, as in gan_v1 and cyclegan"
        )


def check_size(cfg: DictConfig, method: ToonMethod) -> None:
    """Refuse crops that the generator does not divide."""
    multiple = getattr(method.generator, "multiple", 1)
    if (size := cfg.data.get("size")) and size % multiple:
        near = max(1, round(size / multiple)) * multiple
        raise UsageError(
            f"data.size={size}: this generator takes multiples of {multiple}, {near} for instance"
        )


def _check_preset(cfg: DictConfig) -> None:
    """Refuse weights that belong to another method, which might have terms of the same names."""
    method, preset = HydraConfig.get().runtime.choices["method"], cfg.get("preset")
    if preset and method not in preset.methods:
        right = " or ".join(f"method={name}" for name in preset.methods)
        raise UsageError(f"preset={preset.name} is for {right}, not for method={method}")
