"""Frames of reference: what a mark in pictures of many sizes may be fixed to.

A mark may sit at a share of the picture, at a number of pixels from a corner, or at a share of the width or
of the short side from a corner. In the right frame it is at the same place in every picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from toonlab.data.ignore import Box

SIDE = 128
"""Pixels of a frame along each side."""

_EQUAL = 1.01  # sizes that differ by less are one size


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
    x: float = 0
    y: float = 0
    window: float = 0

    def __str__(self) -> str:
        if self.unit == "picture":
            return "share of the picture"
        corner = f"{'bottom' if self.y else 'top'} {'right' if self.x else 'left'}"
        names = {"pixel": "pixels", "width": "shares of the width", "short": "shares of the short side"}
        return f"{names[self.unit]} from the {'bottom' if self.y else 'top'}" if self.unit == "width" else (
            f"{names[self.unit]} from the {corner}"
        )

    def scale(self, width: int, height: int) -> tuple[float, float]:
        """Return frame pixels per picture pixel, along x and y."""
        if self.unit == "picture":
            return SIDE / width, SIDE / height
        length = {"pixel": self.window, "width": width, "short": min(width, height)}[self.unit]
        return SIDE / length, SIDE / length

    def view(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
        """Return the `(SIDE, SIDE, 3)` window, and the part of it that the picture covers."""
        height, width = picture.shape[:2]
        sx, sy = self.scale(width, height)
        wide, high = max(1, round(width * sx)), max(1, round(height * sy))
        # Only what the window shows is resized: a huge picture has a small corner.
        keep_w, keep_h = min(wide, SIDE), min(high, SIDE)
        cut_w, cut_h = min(width, round(keep_w / sx)), min(height, round(keep_h / sy))
        left, top = round((width - cut_w) * self.x), round((height - cut_h) * self.y)
        cut = picture[top : top + cut_h, left : left + cut_w]
        how = cv2.INTER_AREA if sx <= 1 and sy <= 1 else cv2.INTER_LINEAR
        small = cv2.resize(cut, (keep_w, keep_h), interpolation=how)
        x, y = round((SIDE - keep_w) * self.x), round((SIDE - keep_h) * self.y)
        covered = slice(y, y + keep_h), slice(x, x + keep_w)
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        frame[covered] = small
        return frame, covered

    def box(self, rows: tuple[float, float], columns: tuple[float, float], width: int, height: int) -> Box:
        """Return a frame's rectangle in shares of a picture of this size, clipped to it."""
        sx, sy = self.scale(width, height)
        wide, high = width * sx, height * sy
        x, y = ((wide - SIDE) * self.x, (high - SIDE) * self.y) if self.unit != "picture" else (0.0, 0.0)
        clip = [
            min(max(value, 0.0), 1.0)
            for value in ((columns[0] + x) / wide, (rows[0] + y) / high, (columns[1] + x) / wide, (rows[1] + y) / high)
        ]
        return Box(*clip)


def anchors(sizes: Sequence[tuple[int, int]]) -> list[Anchor]:
    """Return the frames in which pictures of these sizes differ: one only if all have one size.

    Args:
        sizes: width and height of each picture.
    """
    array = np.array(sizes, dtype=float)
    short = array.min(axis=1)
    found = [Anchor("picture")]
    same_shape = _alike(array[:, 0] / array[:, 1])
    corners = [(x, y) for y in (0, 1) for x in (0, 1)]
    if same_shape and _alike(short):
        return found
    if not same_shape:
        found += [Anchor("width", y=y) for y in (0, 1)]
        found += [Anchor("short", x, y) for x, y in corners]
    if not _alike(short):
        found += [Anchor("pixel", x, y, window=float(np.median(short))) for x, y in corners]
    return found


def _alike(values: NDArray[np.floating]) -> bool:
    low, high = np.quantile(values, [0.02, 0.98])
    return bool(high <= low * _EQUAL)
