"""`kind=onnx`: a generator for ONNX Runtime, OpenVINO, phones and browsers; any picture size."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from omegaconf import DictConfig

from toonlab.app.export import new_file, origin, size
from toonlab.app.export_quality import judged, photos_of
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.checkpoint import Loaded, in_style, shown
from toonlab.errors import check_choice
from toonlab.inference.onnx_file import TOLERANCE, write_onnx
from toonlab.inference.stylizer import OutputFilter

log = logging.getLogger(__name__)

TAKES = frozenset({"style", "packs", "precision", "photos", "least_psnr"})


def export(cfg: DictConfig) -> None:
    """Write `cfg.ckpt` in `cfg.style` as `cfg.output`, in `cfg.precision`, checked against PyTorch.

    Raises:
        UsageError: it cannot be exported, or paints otherwise than the checkpoint; no file is left.
    """
    path = new_file(cfg, Path(cfg.output).expanduser(), ".onnx")
    check_choice("precision", cfg.precision, TOLERANCE)
    loaded = in_style(with_packs(cfg), chosen_style(cfg.style))
    photos = photos_of(cfg)
    judge = None
    if cfg.precision != "fp32":
        judge = judged(cfg, loaded, photos[1::2] or photos)
    written = write_onnx(
        path,
        loaded.generator,
        output_filter=OutputFilter.of(loaded.painting),
        precision=cfg.precision,
        photos=photos[::2],
        about=about(cfg, loaded),
        judge=judge,
    )
    log.info(
        "%s: %s in %s, %s; differs from PyTorch by at most %.2g, %.2g on average, on [-1, 1], at %s; "
        "licence: %s",
        path,
        type(loaded.generator).__name__,
        written.precision,
        size(path),
        written.max_error,
        written.mean_error,
        ", ".join("x".join(map(str, each[1:])) for each in written.sizes),
        written.about["licence"],
    )
    log.info("Paint with it:\n  python src/stylize.py ckpt=%s input=PHOTOS output=PAINTED", path)


def about(cfg: DictConfig, loaded: Loaded) -> dict[str, str]:
    """Say what a file was made from."""
    came = origin(cfg, loaded, "onnx")
    return {
        "origin": json.dumps({key: came[key] for key in ("file", "sha256")} | {"before": loaded.origin}),
        "licence": came["licence"],
        "method": str(loaded.config.get("name", "not stated")),
        "iteration": str(loaded.iteration),
        "style": shown(loaded.style) if loaded.style else "none",
        "painting": json.dumps(loaded.painting),
    }
