"""`src/prepare.py`: photos and their drawings, as pairs for training."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from toonlab import images
from toonlab.app.painter import drawer
from toonlab.app.setup import quiet
from toonlab.data.folders import report, scan
from toonlab.data.teacher import Teacher
from toonlab.errors import UsageError
from toonlab.inference.before_after import before_after

log = logging.getLogger(__name__)

CARTOONS = "cartoons"


def run(cfg: DictConfig) -> None:
    """Draw `cfg.photos` and lay the drawings out in `cfg.output`; exits with 1 if a photo failed.

    `output` gets a PNG for each photo at the photo's relative path below `cartoons/`, `pairs.csv` (photo,
    cartoon), `settings.yaml` and `before_after.png`.

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
    pairs: list[tuple[Path, Path]] = []
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
        _lay(drawing, target)
        pairs.append((photo, target))
    if pairs:
        _list(pairs, output)
        images.save(before_after(pairs), output / "before_after.png")
    log.info("%d pairs in %s\nlook at them: %s", len(pairs), output, output / "before_after.png")
    if failed:
        log.info("failed:\n%s", "\n".join(f"  {photo}: {reason}" for photo, reason in failed.items()))
        sys.exit(1)


def _output(cfg: DictConfig, photos: Path) -> Path:
    name = HydraConfig.get().runtime.choices["method"]
    output = Path(cfg.output or Path(cfg.outputs_dir) / "pairs" / name / photos.name).expanduser().absolute()
    settings = {"photos": str(photos), "method": cfg.method, "short_side": cfg.short_side}
    text, kept = OmegaConf.to_yaml(OmegaConf.create(settings)), output / "settings.yaml"
    if output == photos or photos.is_relative_to(output):
        raise UsageError(f"output={output} holds the photos themselves; name another folder")
    if kept.is_file() and kept.read_text() != text:
        raise UsageError(
            f"output={output}: holds drawings of other photos or settings; name another output=DIR"
        )
    if output.is_dir() and not kept.is_file() and any(output.iterdir()):
        raise UsageError(f"output={output}: is there and not ours; name a new folder")
    output.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)
    return output


def _lay(drawing: Path, target: Path) -> None:
    """Give a kept drawing its name; the disk holds it once where the file system can."""
    if target.is_file() and target.stat().st_size == drawing.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(drawing, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(drawing, target)


def _list(pairs: list[tuple[Path, Path]], output: Path) -> None:
    with (output / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "cartoon"])
        writer.writerows((str(photo), str(target.relative_to(output))) for photo, target in pairs)
