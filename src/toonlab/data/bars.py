"""Letterbox bars: borders of one colour that end in a straight line."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_FLAT = 5.0  # of 255: spread within a row of a bar, JPEG's noise included
_STEADY = 6.0  # of 255: between a bar's rows
_STEP = 14.0  # of 255: where the picture begins
_STRAIGHT = 0.5  # of a row's pixels must take that step at once; a skyline does not
_RINGING = 3  # rows in which JPEG smears the step; more would let in figures on flat grounds
_THINNEST, _THICKEST = 0.012, 0.45  # of the picture


class Bars(NamedTuple):
    """Thickness at each border, as a share of the picture's width or height; 0 where there is none."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def any(self) -> bool:
        return max(self) > 0


def find_bars(picture: NDArray[np.uint8]) -> Bars:
    """Measure the bars of an `(H, W, 3)` picture.

    A bar is a run of border rows of one colour, and the row after it differs from that colour in at least
    half of its pixels: a flat sky over a skyline is none. A picture of a single colour has none.
    """
    array = picture.astype(np.float32)
    top, bottom = _thickness(array), _thickness(array[::-1])
    across = array.transpose(1, 0, 2)
    left, right = _thickness(across), _thickness(across[:, ::-1][::-1])
    return Bars(left, top, right, bottom)


def _thickness(rows: Array) -> float:
    """Return the first bar's share of the rows."""
    n = len(rows)
    limit, thinnest = int(n * _THICKEST), max(2, round(n * _THINNEST))
    colour = np.median(rows[0], axis=0)
    if np.quantile(np.abs(rows[thinnest - 1] - colour).max(axis=1), 0.9) >= _FLAT:
        return 0.0  # as of nearly all pictures, and quickly said
    block = rows[: limit + 2 * _RINGING + 1]
    off = np.abs(block - colour).max(axis=2)
    # Most pixels rather than all: a station's logo may lie on a bar.
    flat = np.quantile(off, 0.9, axis=1) < _FLAT
    steady = np.abs(np.median(block, axis=1) - colour).max(axis=1) < _STEADY
    ends = np.flatnonzero(~(flat & steady))
    if len(ends) == 0:
        return 0.0
    end = int(ends[0])
    if end < thinnest or end > limit:
        return 0.0
    after = (off[end : end + _RINGING + 1] > _STEP).mean(axis=1)
    if after.max() < _STRAIGHT:
        return 0.0
    return (end + int((after >= _STRAIGHT).argmax())) / n


def reduced(picture: NDArray[np.uint8], side: int = 512) -> NDArray[np.uint8]:
    """Shrink so that the longer side is at most `side`, by averaging areas."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
