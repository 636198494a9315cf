"""`data.ignore`: what no network shall see, cut off or filled in, in both domains alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from toonlab.data.stream import Source, Twin
from toonlab.errors import UsageError, did_you_mean

_STRIP = 0.02  # of the shorter side: how much beside a box its filling is made of
_KEYS = ("crop", "mask")


class Box(NamedTuple):
    """A rectangle in shares of a picture's width and height, from its top left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Share of the picture."""
        return (self.right - self.left) * (self.bottom - self.top)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in a picture of this size, at least one pixel each way."""
        left, top = min(round(self.left * width), width - 1), min(round(self.top * height), height - 1)
        return left, top, max(left + 1, round(self.right * width)), max(top + 1, round(self.bottom * height))


@dataclass(frozen=True)
class Ignore:
    """What to take away from every picture.

    Args:
        crop: what is kept.
        mask: boxes of the whole picture that are filled from their surroundings, before the cut.
    """

    crop: Box | None = None
    mask: tuple[Box, ...] = ()

    def __call__(self, picture: Image.Image) -> Image.Image:
        """Return an RGB picture without what is to be ignored."""
        if self.mask:
            array = np.array(picture)
            for box in self.mask:
                _fill(array, *box.pixels(*picture.size))
            picture = Image.fromarray(array)
        return picture.crop(self.crop.pixels(*picture.size)) if self.crop else picture

    def plain(self) -> dict[str, Any]:
        """Return it as `read` takes it, lists and numbers only."""
        return {"crop": list(self.crop) if self.crop else None, "mask": [list(box) for box in self.mask]}


class Ignored:
    """A source without what is to be ignored."""

    def __init__(self, source: Source, ignore: Ignore) -> None:
        self.source, self.ignore = source, ignore

    def __len__(self) -> int:
        return len(self.source)

    def picture(self, index: int) -> Image.Image:
        return self.ignore(self.source.picture(index))


class IgnoredTwin:
    """A twin of an `Ignored` source's pictures: made of the whole picture, then treated alike."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin

    def __call__(self, source: Source, index: int) -> Image.Image:
        if not isinstance(source, Ignored):
            return self.twin(source, index)
        return source.ignore(self.twin(source.source, index))


def read(
    value: str | Path | Mapping[str, Any] | Sequence[Any] | None, key: str = "data.ignore"
) -> Ignore | None:
    """Understand a setting: a YAML file, its content, or a list of boxes to mask; None for nothing.

    Args:
        value: boxes are `[left, top, right, bottom]` in shares of the picture, from 0 to 1.
        key: for messages.

    Raises:
        UsageError: no such file, or something else than boxes in it.
    """
    if value is None:
        return None
    if isinstance(value, str | Path):
        key = f"{key}={value}"
        try:
            value = yaml.safe_load(Path(value).expanduser().read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = getattr(error, "strerror", None) or "not YAML"
            raise UsageError(
                f"{key}: cannot be read ({reason}); "
                "give the ignore.yaml that `prepare.py check` wrote, or [[left,top,right,bottom]]"
            ) from error
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = {"mask": value}
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{key}: {value!r} is neither a list of boxes [left,top,right,bottom] nor crop and mask"
        )
    for name in value:
        if name not in _KEYS:
            raise UsageError(f"{key}: no '{name}' here, only crop and mask{did_you_mean(str(name), _KEYS)}")
    crop, mask = value.get("crop"), value.get("mask") or []
    if not isinstance(mask, Sequence) or isinstance(mask, str):
        raise UsageError(f"{key}: mask={mask!r} is no list of boxes")
    boxes = tuple(_box(each, f"{key}: mask") for each in mask)
    if any(box.area > 0.9 for box in boxes):
        raise UsageError(f"{key}: a mask over nearly the whole picture leaves nothing to learn from")
    if crop is None and not boxes:
        return None
    return Ignore(None if crop is None else _box(crop, f"{key}: crop"), boxes)


def _box(value: Any, key: str) -> Box:
    numbers = [float(v) for v in value if isinstance(v, int | float)] if isinstance(value, Sequence) else []
    if len(numbers) != 4 or len(value) != 4:
        raise UsageError(f"{key}: {value!r} is no box; use [left,top,right,bottom] in shares of the picture")
    box = Box(*numbers)
    if not (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
        raise UsageError(
            f"{key}: {numbers} is no box: left < right and top < bottom, all from 0 to 1 (shares, not pixels)"
        )
    return box


def _fill(array: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> None:
    """Fill a box in place, smoothly from what is beside it, nearer sides counting more.

    No edge is left, as a mean colour would leave one, and no texture is made up: what fills the box is the
    picture's own colours, so that it says no more of the domain than the picture around it.
    """
    height, width = array.shape[:2]
    strip = max(1, round(_STRIP * min(height, width)))
    sides: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = []
    xs, ys = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    shape = (bottom - top, right - left)
    rows, columns = slice(top, bottom), slice(left, right)
    if left > 0:
        line = _line(array[rows, max(0, left - strip) : left].mean(axis=1))
        sides.append((np.broadcast_to(line[:, None], (*shape, 3)), np.broadcast_to(xs - left, shape)))
    if right < width:
        line = _line(array[rows, right : right + strip].mean(axis=1))
        sides.append((np.broadcast_to(line[:, None], (*shape, 3)), np.broadcast_to(right - xs, shape)))
    if top > 0:
        line = _line(array[max(0, top - strip) : top, columns].mean(axis=0))
        sides.append((np.broadcast_to(line, (*shape, 3)), np.broadcast_to((ys - top)[:, None], shape)))
    if bottom < height:
        line = _line(array[bottom : bottom + strip, columns].mean(axis=0))
        sides.append((np.broadcast_to(line, (*shape, 3)), np.broadcast_to((bottom - ys)[:, None], shape)))
    if not sides:
        return
    weights = [1 / distance[..., None] for _, distance in sides]
    mixed = sum(colour * weight for (colour, _), weight in zip(sides, weights, strict=True)) / sum(weights)
    array[rows, columns] = np.asarray(mixed).round().clip(0, 255).astype(np.uint8)


def _line(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    """Smooth `(n, 3)` colours along a side: single pixels would be drawn out to streaks."""
    sigma = max(1.0, len(colours) / 8)
    blurred = cv2.GaussianBlur(
        colours[None].astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred[0], dtype=np.float64)
