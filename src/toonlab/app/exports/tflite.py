"""`kind=tflite`: a generator for Android's LiteRT, of one picture size."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab.app.export import new_file, size
from toonlab.app.export_quality import photos_of
from toonlab.app.exports.onnx import about
from toonlab.app.setup import as_plain
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.checkpoint import in_style
from toonlab.errors import UsageError
from toonlab.inference.litert_file import write_tflite
from toonlab.inference.stylizer import OutputFilter

log = logging.getLogger(__name__)

TAKES = frozenset({"style", "packs", "photos"})


def export(cfg: DictConfig) -> None:
    """Write `cfg.ckpt` in `cfg.style` as `cfg.output`, checked against PyTorch, for one size of pictures.

    Raises:
        UsageError: it cannot be exported, or paints otherwise than the checkpoint; no file is left.
    """
    path = new_file(cfg, Path(cfg.output).expanduser(), ".tflite")
    height, width = _size(cfg.tflite.size)
    loaded = in_style(with_packs(cfg), chosen_style(cfg.style))
    said = about(cfg, loaded)
    largest, mean = write_tflite(
        path,
        loaded.generator,
        size=(height, width),
        multiple=getattr(loaded.generator, "multiple", 1),
        output_filter=OutputFilter.of(loaded.painting),
        photos=photos_of(cfg),
        about=said,
    )
    log.info(
        "%s: %s for %dx%d pictures, %s; differs from PyTorch by at most %.2g, %.2g on average, on [-1, 1]; "
        "licence: %s; what it takes and gives is in %s.json",
        path,
        type(loaded.generator).__name__,
        height,
        width,
        size(path),
        largest,
        mean,
        said["licence"],
        path,
    )


def _size(asked: Any) -> tuple[int, int]:
    sides = as_plain(asked)
    if not isinstance(sides, list) or len(sides) != 2 or not all(type(side) is int for side in sides):
        raise UsageError(f"tflite.size={sides}: name height and width, [512, 512]")
    return sides[0], sides[1]
