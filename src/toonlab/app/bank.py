"""The bank that a search starts from: latents of a folder of clean photos, kept under `cache_dir`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab import images
from toonlab.errors import UsageError
from toonlab.methods.completing import Completing
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.build import open_bank, weights_key

log = logging.getLogger(__name__)


def bank_for(cfg: DictConfig, method: Completing, size: int | None = None) -> LatentBank:
    """Open or build the bank of the photos in `cfg.bank`.

    Args:
        cfg: says `bank` and `cache_dir`.
        method: its generator encodes.
        size: pixels of each photo's side; `cfg.bank_size` by default.

    Raises:
        UsageError: no folder is named, it holds no image, or `size` gives no whole cells.
    """
    photos, side, multiple = bank_photos(cfg), size or cfg.bank_size, method.painter.multiple
    if side % multiple:
        near = round(side / multiple) * multiple
        raise UsageError(
            f"bank_size={side}: this generator takes multiples of {multiple}, {near} for instance"
        )
    return open_bank(
        photos,
        encode=lambda batch: method.painter.encode(batch.to(method.device)).cpu(),
        key=weights_key(method.painter.state_dict()),
        size=side,
        cache_dir=Path(cfg.cache_dir),
    )


def remember_bank(cfg: DictConfig, config: Mapping[str, Any]) -> None:
    """Let `cfg.bank` be the one that a run searched in, as its checkpoint's config says, if none is named."""
    if cfg.bank is None and config.get("bank"):
        cfg.bank, cfg.bank_size = config["bank"], config["bank_size"]
        log.info("bank: the run's own, %s", cfg.bank)


def bank_photos(cfg: DictConfig) -> list[Path]:
    """List the photos in `cfg.bank`.

    Raises:
        UsageError: no folder is named, it holds no image, or `bank_size` is none.
    """
    if not cfg.bank:
        raise UsageError(
            "completion=search starts from latents of clean photos: name a folder of them, bank=DIR (not of "
            "the photos that are to be completed)"
        )
    folder = Path(str(cfg.bank)).expanduser()
    if not isinstance(cfg.bank_size, int) or cfg.bank_size < 32:
        raise UsageError(f"bank_size={cfg.bank_size}: pixels of each photo's side, 32 or more")
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise UsageError(f"bank={folder}: {what}; name a folder of clean photos")
    photos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in images.EXTENSIONS and not p.is_dir())
    if not photos:
        raise UsageError(f"bank={folder}: no image in it; name a folder of clean photos")
    return photos
