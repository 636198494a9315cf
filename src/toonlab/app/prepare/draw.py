"""`src/prepare.py flow`: photos and their drawings, as pairs for training."""

from __future__ import annotations

import csv
import logging
import shutil
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from toonlab import images
from toonlab.app.painter import drawer
from toonlab.app.prepare.output import claim
from toonlab.app.setup import quiet
from toonlab.data.folders import report, scan
from toonlab.data.teacher import Teacher
from toonlab.inference.before_after import before_after

log = logging.getLogger(__name__)

CARTOONS, LIST = "cartoons", "pairs.csv"


def run(cfg: DictConfig) -> None:
    """Draw `cfg.photos` and lay the drawings out in `cfg.output`; exits with 1 if a photo failed.

    `output` gets a PNG for each photo at the photo's relative path below `cartoons/`, `pairs.csv` (photo,
    cartoon, key of the drawing), `settings.yaml` and `before_after.png`.

    Raises:
        UsageError: nothing to draw, or `output` holds drawings made with other settings.
    """
    quiet()
    teacher = Teacher(
        draw=drawer(cfg), cache_dir=cfg.cache_dir, short_side=cfg.short_side, workers=cfg.workers
    )
    index = scan(cfg.photos, what="photos", min_side=cfg.min_side, cache_dir=Path(cfg.cache_dir))
    report(index, "photos")
    output = _output(cfg, index.folder)
    rows: list[tuple[Path, Path, str]] = []
    laid = _laid(output)
    failed: dict[Path, str] = {}
    taken: set[Path] = set()
    for photo, drawing in teacher.prepare(index.files):
        if isinstance(drawing, str):
            failed[photo] = drawing
            continue
        target = output / CARTOONS / photo.relative_to(index.folder).with_suffix(".png")
        if target in taken:  # a.jpg beside a.png
            target = target.with_name(f"{photo.name}.png")
        taken.add(target)
        if not target.is_file() or laid.get(str(target.relative_to(output))) != drawing.stem:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(drawing, target)  # no link: an edited one would change what training reads
        rows.append((photo, target, drawing.stem))
    if rows:
        _list(rows, output)
        images.save(before_after([row[:2] for row in rows]), output / "before_after.png")
    log.info("%d pairs in %s\nlook at them: %s", len(rows), output, output / "before_after.png")
    if stale := set((output / CARTOONS).rglob("*.png")) - taken:
        log.warning(
            "%d cartoons of photos that are gone stay in %s: %s …", len(stale), output, min(stale).name
        )
    if failed:
        log.info("failed:\n%s", "\n".join(f"  {photo}: {reason}" for photo, reason in failed.items()))
        sys.exit(1)


def _output(cfg: DictConfig, photos: Path) -> Path:
    name = HydraConfig.get().runtime.choices["method"]
    output = cfg.output or Path(cfg.outputs_dir) / "pairs" / name / photos.name
    settings = {"photos": str(photos), "method": cfg.method, "short_side": cfg.short_side}
    return claim(output, settings=settings, sources={"photos": photos})


def _laid(output: Path) -> dict[str, str]:
    """Return what an earlier call laid out: of each cartoon, which drawing it is."""
    try:
        with (output / LIST).open(newline="") as file:
            return {row["cartoon"]: row["drawing"] for row in csv.DictReader(file)}
    except (OSError, KeyError):
        return {}


def _list(rows: list[tuple[Path, Path, str]], output: Path) -> None:
    part = output / f".{LIST}.part"
    with part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "cartoon", "drawing"])
        writer.writerows((photo, target.relative_to(output), drawing) for photo, target, drawing in rows)
    part.replace(output / LIST)
