"""`src/prepare.py collage`: four-segment collages cut into photo and cartoon."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig, ListConfig
from PIL import Image

from toonlab import images
from toonlab.app.prepare.journal import Journal, each, state_of
from toonlab.app.prepare.output import claim, names_of
from toonlab.app.setup import make, quiet
from toonlab.data.collage import SEGMENTS, Box, Limits, find
from toonlab.data.contact import contact_sheet, thinned
from toonlab.data.folders import find_images
from toonlab.errors import UsageError, check_choice

log = logging.getLogger(__name__)

PHOTOS, CARTOONS = "photos", "cartoons"
REPORT = "report.csv"
COLUMNS = (
    *("file", "verdict", "reason", "vertical_seam", "horizontal_seam", "alignment", "difference"),
    *("left", "top", "width", "height", "right_by", "down_by", "state"),
)
_SHOWN = 15  # of the accepted, and of the rejected, on the sheet


class _Cut(NamedTuple):
    """What is cut out of a collage, and how."""

    photo: str
    cartoons: Sequence[str]
    trim: float
    cut_bottom: float


def run(cfg: DictConfig) -> None:
    """Judge every image of `cfg.source`, and cut the collages into `cfg.output`.

    Raises:
        UsageError: nothing to read, a segment's name is wrong, or `output` was made with other settings.
    """
    quiet()
    cut, limits = _cut(cfg), make(cfg, "limits")
    files, ignored = find_images(cfg.source, what="source")
    source = Path(cfg.source).expanduser().absolute()
    settings = {"task": "collage", "source": str(source), **cut._asdict(), "limits": cfg.limits}
    output = claim(cfg.output, settings=settings, sources={"source": source})
    names = names_of(files, source)
    journal = Journal(output / REPORT, COLUMNS)

    def done(file: Path) -> bool:
        row = journal.rows.get(str(file.relative_to(source)))
        if row is None or row["state"] != state_of(file):
            return False
        made = row["verdict"] == "collage"
        return not made or all(p.is_file() for pair in _targets(output, names[file], cut) for p in pair)

    def judge(file: Path) -> dict[str, object]:
        return _judge(file, limits, cut, _targets(output, names[file], cut))

    new = [file for file in files if not done(file)]
    for file, row in each(judge, new, workers=cfg.workers, what="cutting", unit="image"):
        journal.add({"file": str(file.relative_to(source)), **row})
    rows = journal.close([str(file.relative_to(source)) for file in files])
    _tell(rows, output, source, cut, names, ignored)


def _cut(cfg: DictConfig) -> _Cut:
    cartoons = list(cfg.cartoon) if isinstance(cfg.cartoon, ListConfig) else [cfg.cartoon]
    for key, segments in {"photo": [cfg.photo], "cartoon": cartoons}.items():
        for segment in segments:
            check_choice(key, str(segment), SEGMENTS)
    if not cartoons or len({cfg.photo, *cartoons}) <= len(cartoons):
        raise UsageError(f"cartoon={','.join(cartoons)}: one or more segments other than photo={cfg.photo}")
    for key, top in {"trim": 0.25, "cut_bottom": 0.5}.items():
        if not 0 <= cfg[key] <= top:
            raise UsageError(f"{key}={cfg[key]}: a share from 0 to {top}")
    return _Cut(cfg.photo, cartoons, cfg.trim, cfg.cut_bottom)


def _targets(output: Path, name: Path, cut: _Cut) -> list[tuple[Path, Path]]:
    """Return where a collage's pairs go: `photos/a.png` and `cartoons/a.png`."""
    names = [name] if len(cut.cartoons) == 1 else [name.with_name(f"{name.name}_{c}") for c in cut.cartoons]
    files = [n.with_name(f"{n.name}.png") for n in names]
    return [(output / PHOTOS / file, output / CARTOONS / file) for file in files]


def _judge(file: Path, limits: Limits, cut: _Cut, targets: list[tuple[Path, Path]]) -> dict[str, object]:
    state = state_of(file)
    try:
        picture = images.decode(file)
    except images.BadImageError as error:
        return {"verdict": "unreadable", "reason": str(error), "state": state}
    page = images.on_white(picture)
    found = find(np.asarray(page), limits)
    row: dict[str, object] = {"verdict": "rejected", "reason": found.reason, "state": state}
    row |= {name: f"{score:.3f}" for name, score in found.scores.items()}
    if found.boxes:
        first, last = found.boxes[0], found.boxes[-1]
        row |= {"left": first.left, "top": first.top, "width": first.right - first.left}
        row |= {"height": first.bottom - first.top}
        row |= {"right_by": last.left - first.left, "down_by": last.top - first.top}
    if found.reason:
        return row
    boxes = dict(zip(SEGMENTS, found.boxes, strict=True))
    for segment, (photo, cartoon) in zip(cut.cartoons, targets, strict=True):
        for name, path in ((cut.photo, photo), (segment, cartoon)):
            images.save(page.crop(_inner(boxes[name], cut)), path, icc_profile=picture.icc_profile)
    return row | {"verdict": "collage"}


def _inner(box: Box, cut: _Cut) -> Box:
    width, height = box.right - box.left, box.bottom - box.top
    x, y = int(np.ceil(width * cut.trim)), int(np.ceil(height * cut.trim))
    bottom = max(y, round(height * cut.cut_bottom))
    return Box(box.left + x, box.top + y, box.right - x, box.bottom - bottom)


def _tell(
    rows: list[dict[str, str]],
    output: Path,
    source: Path,
    cut: _Cut,
    names: dict[Path, Path],
    ignored: Counter[str],
) -> None:
    accepted = [row for row in rows if row["verdict"] == "collage"]
    rejected = [row for row in rows if row["verdict"] != "collage"]
    cells = list[tuple[Image.Image, str]]()
    for row in thinned(accepted, _SHOWN):
        photo, cartoon = _targets(output, names[source / row["file"]], cut)[0]
        both = [images.decode(path).rgb for path in (photo, cartoon)]
        page = Image.new("RGB", (2 * both[0].width, both[0].height))
        for i, piece in enumerate(both):
            page.paste(piece, (i * both[0].width, 0))
        cells.append((page, f"{row['alignment']} {row['file']}"))
    cells += [(Image.new("RGB", (1, 1), "white"), "")] * (-len(cells) % 5)
    for row in thinned([row for row in rejected if row["verdict"] == "rejected"], _SHOWN):
        page = images.on_white(images.decode(source / row["file"]))
        cells.append((page, f"{row['reason']}: {row['file']}"))
    if cells:
        images.save(contact_sheet(cells), output / "sheet.png")
    reasons = Counter(row["reason"].split(":")[0] for row in rejected)
    log.info(
        "%d of %d images are collages: pairs in %s\nlook at them: %s",
        *(len(accepted), len(rows), output, output / "sheet.png"),
    )
    if ignored:
        log.info("%d other files ignored (%s)", ignored.total(), ", ".join(sorted(ignored)))
    for reason, count in reasons.most_common():
        log.info("  %6d rejected: %s", count, reason)
    log.info("each with its reason: %s", output / REPORT)
