"""Frames of reference: what a mark in pictures of many sizes may be fixed to.

A mark may sit at a share of the picture, at a number of pixels from a corner, or at a share of the width or
of the short side from a corner. In the right frame it is at the same place in every picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from toonlab.data.ignore import Box

SIDE = 128
"""Pixels of a frame along each side."""

_EQUAL = 1.01  # sizes that differ by less are one size


class Shot(NamedTuple):
    """A picture for analysis: `(h, w, 3)` pixels, perhaps reduced, of one that is `width` by `height`."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


class View(NamedTuple):
    """`(SIDE, SIDE, 3)` pixels of a frame, and the rows and columns of it that the picture covers."""

    pixels: NDArray[np.uint8]
    rows: slice
    columns: slice


class Place(NamedTuple):
    """A rectangle of a frame, in its pixels."""

    top: int
    left: int
    height: int
    width: int


class Area(NamedTuple):
    """A rectangle of a frame, in fractions of its pixels."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Anchor:
    """One way to lay pictures over each other.

    Args:
        unit: what is brought to one length: `picture` (both sides, stretched), `pixel` (nothing: all are
            scaled alike), `width` or `short`.
        x: where the window touches the picture: 0 left, 1 right.
        y: 0 top, 1 bottom.
        window: source pixels of the window's side, for `pixel`.
    """

    unit: str
    x: int = 0
    y: int = 0
    window: float = 0

    def __str__(self) -> str:
        if self.unit == "picture":
            return "a share of the picture"
        side = "bottom" if self.y else "top"
        if self.unit == "width":
            return f"shares of the width from the {side}"
        what = {"pixel": "pixels", "short": "shares of the short side"}[self.unit]
        return f"{what} from the {side} {'right' if self.x else 'left'}"

    def view(self, shot: Shot) -> View:
        """Lay a picture into the frame."""
        height, width = shot.pixels.shape[:2]
        sx, sy = self._scale(shot.width, shot.height)
        sx, sy = sx * shot.width / width, sy * shot.height / height
        keep_w, keep_h = min(max(1, round(width * sx)), SIDE), min(max(1, round(height * sy)), SIDE)
        cut_w, cut_h = min(width, max(1, round(keep_w / sx))), min(height, max(1, round(keep_h / sy)))
        left, top = (width - cut_w) * self.x, (height - cut_h) * self.y
        cut = shot.pixels[top : top + cut_h, left : left + cut_w]
        how = cv2.INTER_AREA if max(sx, sy) <= 1 else cv2.INTER_LINEAR
        x, y = (SIDE - keep_w) * self.x, (SIDE - keep_h) * self.y
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        frame[y : y + keep_h, x : x + keep_w] = cv2.resize(cut, (keep_w, keep_h), interpolation=how)
        return View(frame, slice(y, y + keep_h), slice(x, x + keep_w))

    def enlarged(self, shot: Shot, place: Place, times: int) -> NDArray[np.uint8]:
        """Return a place of the frame at a larger scale, from the picture's own pixels; borders repeat."""
        height, width = shot.pixels.shape[:2]
        sx, sy = self._scale(shot.width, shot.height)
        sx, sy = sx * shot.width / width, sy * shot.height / height
        x, y = (width * sx - SIDE) * self.x, (height * sy - SIDE) * self.y
        if self.unit == "picture":
            x = y = 0.0
        to = np.array(
            [[times * sx, 0, -times * (place.left + x)], [0, times * sy, -times * (place.top + y)]],
            np.float64,
        )
        # Centres of pixels, not corners.
        to[:, 2] += 0.5 * np.array([times * sx, times * sy]) - 0.5
        size = (place.width * times, place.height * times)
        return np.asarray(
            cv2.warpAffine(shot.pixels, to, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            dtype=np.uint8,
        )

    def box(self, place: Place | Area, width: int, height: int) -> Box:
        """Return a place in shares of a picture of this size, clipped to it."""
        sx, sy = self._scale(width, height)
        wide, high = width * sx, height * sy
        x, y = (wide - SIDE) * self.x, (high - SIDE) * self.y
        left, right = (place.left + x) / wide, (place.left + place.width + x) / wide
        top, bottom = (place.top + y) / high, (place.top + place.height + y) / high
        return Box(*(min(max(value, 0.0), 1.0) for value in (left, top, right, bottom)))

    def _scale(self, width: int, height: int) -> tuple[float, float]:
        """Return frame pixels per picture pixel, along x and y."""
        if self.unit == "picture":
            return SIDE / width, SIDE / height
        length = {"pixel": self.window, "width": width, "short": min(width, height)}[self.unit]
        return SIDE / length, SIDE / length


def anchors(sizes: Sequence[tuple[int, int]]) -> list[Anchor]:
    """Return the frames that differ for pictures of these sizes: one only, if all have one size.

    Args:
        sizes: width and height of each picture.
    """
    array = np.array(sizes, dtype=float)
    short = array.min(axis=1)
    one_shape, one_scale = _alike(array[:, 0] / array[:, 1]), _alike(short)
    corners = [(x, y) for y in (0, 1) for x in (0, 1)]
    found = [Anchor("picture")]
    if not one_shape:
        found += [Anchor("width", y=y) for y in (0, 1)]
        found += [Anchor("short", x, y) for x, y in corners]
    if not one_scale:
        found += [Anchor("pixel", x, y, window=float(np.median(short))) for x, y in corners]
    return found


def _alike(values: NDArray[np.floating]) -> bool:
    low, high = np.quantile(values, [0.02, 0.98])
    return bool(high <= low * _EQUAL)
