"""The embedded data set: photographs that come with scikit-image and scikit-learn."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from toonlab import images as im
from toonlab.data.transforms import centre_crop
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

VERSION = "3"
_STAMP = "VERSION"

# Two sets of photographs, so that no cartoon shows what a photo shows; and of each, the side that is
# held out for validation and test, so that every part shows more than sky.
_PICTURES = {
    "photos": {
        "skimage/data/astronaut.png": "right",
        "skimage/data/chelsea.png": "right",
        "skimage/data/coffee.png": "right",
        "skimage/data/rocket.jpg": "bottom",
    },
    "cartoons": {
        "skimage/data/motorcycle_left.png": "right",
        "sklearn/datasets/images/china.jpg": "bottom",
        "sklearn/datasets/images/flower.jpg": "bottom",
    },
}
_TRAIN_SHARE = 0.6
_TILE_SHARE = 0.7  # of a region's shorter side
_TILES = 4  # along each side of a region: 16 a region, 64 photos and 48 cartoons in each part

_WHOLE_SIDE = 256  # pixels, the shorter side of a whole photograph

Draw = Callable[[Tensor], Tensor]


class Box(NamedTuple):
    """A rectangle in pixels, right and lower border excluded."""

    left: int
    top: int
    right: int
    bottom: int


def make_demo(root: Path, draw: Draw) -> None:
    """Write `root/{train,val,test}/{photos,cartoons}/*.png`, if it is not there yet.

    Also `root/photographs/*.png`: all of them, whole, at about the scale that a demo's network sees.

    The same on every machine with the same libraries; an interrupted run leaves nothing behind that
    could be taken for the whole. Another `draw` replaces it.

    Args:
        root: folder.
        draw: makes the cartoons: `(1, 3, H, W)` in [-1, 1] to the same; its `repr` must tell its parameters.

    Raises:
        UsageError: `root` exists and is not ours, or a package lacks its photographs.
    """
    version = f"{VERSION} {draw!r}"
    if _version(root) == version:
        return
    if root.exists() and _version(root) is None and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root} is not a demo data set; move it away, or set cache_dir to another folder")
    log.info("writing the demo images to %s", root)
    part = root.with_name(f".{root.name}.{os.getpid()}")
    try:
        _write(part, draw)
        (part / _STAMP).write_text(version)
        if _version(root) != version:  # else another process was faster, with the same result
            shutil.rmtree(root, ignore_errors=True)
            part.rename(root)
    except OSError:
        if _version(root) != version:
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def regions(width: int, height: int, *, held_out: str) -> dict[str, Box]:
    """Cut a photograph into parts without a common pixel: 60 %, 20 % and 20 % of it.

    Args:
        width: pixels.
        height: pixels.
        held_out: `right` or `bottom`, the side that validation and test get a half of each.
    """
    if held_out == "right":
        cut, middle = round(width * _TRAIN_SHARE), height // 2
        rest = Box(cut, 0, width, middle), Box(cut, middle, width, height)
        return {"train": Box(0, 0, cut, height), "val": rest[0], "test": rest[1]}
    cut, middle = round(height * _TRAIN_SHARE), width // 2
    rest = Box(0, cut, middle, height), Box(middle, cut, width, height)
    return {"train": Box(0, 0, width, cut), "val": rest[0], "test": rest[1]}


def tiles(width: int, height: int) -> list[Box]:
    """Return overlapping squares at even distances that cover a region's corners."""
    side = round(min(width, height) * _TILE_SHARE)
    lefts = [round(i * (width - side) / (_TILES - 1)) for i in range(_TILES)]
    tops = [round(i * (height - side) / (_TILES - 1)) for i in range(_TILES)]
    return [Box(left, top, left + side, top + side) for top in tops for left in lefts]


def photographs(size: int = 256) -> Tensor:
    """Return the embedded photographs' central squares, `(4, 3, size, size)` in [-1, 1]."""
    return torch.stack([centre_crop(im.decode(_find(name)).rgb, size=size) for name in _PICTURES["photos"]])


def _write(root: Path, draw: Draw) -> None:
    todo = [(domain, *item) for domain, pictures in _PICTURES.items() for item in pictures.items()]
    for domain, name, held_out in tqdm(todo, desc="preparing demo images", unit="photo"):
        path = _find(name)
        picture = im.decode(path).rgb
        im.save(_reduced(picture), root / "photographs" / f"{path.stem}.png")
        for part, region in regions(*picture.size, held_out=held_out).items():
            cut = picture.crop(region)
            # Drawn after the cut: a filter must not carry one part's pixels into another.
            drawn = im.to_picture(draw(im.to_tensor(cut)[None])[0]) if domain == "cartoons" else cut
            boxes = [Box(0, 0, *cut.size)] if part == "train" else tiles(*cut.size)
            for i, box in enumerate(boxes):
                # Read again and again, hence not compressed.
                im.save(drawn.crop(box), root / part / domain / f"{path.stem}_{i:02}.png", compress_level=0)


def _reduced(picture: Image.Image) -> Image.Image:
    factor = _WHOLE_SIDE / min(picture.size)
    return picture.resize(
        (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS
    )


def _find(name: str) -> Path:
    package, _, inside = name.partition("/")
    spec = importlib.util.find_spec(package)  # finds without importing
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place, inside)).is_file():
            return path
    distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
    raise UsageError(f"{name} is missing; reinstall it: pip install --force-reinstall {distribution}")


def _version(root: Path) -> str | None:
    try:
        return (root / _STAMP).read_text()
    except OSError:
        return None
