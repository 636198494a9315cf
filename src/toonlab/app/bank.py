"""The bank that a search starts from: latents of a folder of clean photos, kept under `cache_dir`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab.data.folders import Index, report, scan
from toonlab.errors import UsageError
from toonlab.methods.completing import Completing
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.build import open_bank, weights_key

log = logging.getLogger(__name__)


def bank_for(cfg: DictConfig, method: Completing) -> LatentBank:
    """Open or build the bank of the photos in `cfg.bank`.

    Args:
        cfg: says `bank`, `bank_size` (pixels of each photo's side) and `cache_dir`.
        method: its generator encodes.

    Raises:
        UsageError: see `bank_photos`; or `bank_size` gives no whole cells.
    """
    photos, multiple = bank_photos(cfg), method.painter.multiple
    if cfg.bank_size % multiple:
        near = round(cfg.bank_size / multiple) * multiple
        raise UsageError(
            f"bank_size={cfg.bank_size}: this generator takes multiples of {multiple}, {near} for instance"
        )
    report(photos, "bank")
    return open_bank(
        photos.files,
        encode=lambda batch: method.painter.encode(batch.to(method.device)).cpu(),
        key=weights_key(method.painter.state_dict()),
        size=cfg.bank_size,
        cache_dir=Path(cfg.cache_dir),
    )


def remember_bank(cfg: DictConfig, config: Mapping[str, Any]) -> None:
    """Let `cfg.bank` be the one that a run searched in, as its checkpoint's config says, if none is named."""
    if cfg.bank is None and config.get("bank"):
        cfg.bank, cfg.bank_size = config["bank"], config["bank_size"]
        log.info("bank: the run's own, %s", cfg.bank)


def bank_photos(cfg: DictConfig) -> Index:
    """Find the photos in `cfg.bank`, of any size.

    Raises:
        UsageError: no folder is named, it holds no usable image, or `bank_size` is none.
    """
    if not cfg.bank:
        raise UsageError(
            "completion=search starts from latents of clean photos: name a folder of them, bank=DIR (not of "
            "the photos that are to be completed)"
        )
    if not isinstance(cfg.bank_size, int) or cfg.bank_size < 32:
        raise UsageError(f"bank_size={cfg.bank_size}: pixels of each photo's side, 32 or more")
    return scan(str(cfg.bank), what="bank", min_side=1, cache_dir=Path(cfg.cache_dir))
