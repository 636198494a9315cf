"""How far a mark reaches: measured on the pictures that show it, and as a box over pictures of all sizes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from toonlab.data.anchors import SIDE, Anchor, Area, Place, Shot, View
from toonlab.data.coherence import Array, details, grouped
from toonlab.data.ignore import Box

_EXTENT = 0.35  # of the highest agreement: where a mark ends
_STEADIER = 0.85  # of the spread of colours around: what is covered varies less
_SOLID = 0.05  # of the extent must do so, to be measured by it
_MARGIN = 8  # frame pixels around a place, to measure its extent
_TIMES = 3  # enlargement for it


def measured(
    shots: Sequence[Shot], groups: NDArray[np.integer], anchor: Anchor, place: Place
) -> tuple[Area, float]:
    """Measure a mark's extent, enlarged, on pictures that show it; also how well they agree there.

    There they agree, and their colours vary less than beside it. The first alone reaches a little too
    far, as any filter does; the second alone meets flat grounds.
    """
    top, left = max(0, place.top - _MARGIN), max(0, place.left - _MARGIN)
    bottom, right = place.top + place.height + _MARGIN, place.left + place.width + _MARGIN
    wide = Place(top, left, min(SIDE, bottom) - top, min(SIDE, right) - left)
    pixels = np.stack([anchor.enlarged(shot, wide, _TIMES) for shot in shots])
    whole = slice(0, wide.height * _TIMES), slice(0, wide.width * _TIMES)
    means = grouped(np.stack([details(View(each, *whole)) for each in pixels]), groups)
    total, power = np.square(means.sum(axis=0)).sum(axis=0), np.square(means).sum(axis=(0, 1))
    energy = cv2.blur(total / (power + 0.05 * len(means)), (_TIMES, _TIMES))
    inside = np.zeros_like(energy)
    y0, x0 = (place.top - top) * _TIMES, (place.left - left) * _TIMES
    within = slice(y0, y0 + place.height * _TIMES), slice(x0, x0 + place.width * _TIMES)
    inside[within] = energy[within]
    y, x = (int(i) for i in np.unravel_index(int(inside.argmax()), inside.shape))
    peak = float(inside.max())
    rough = extent(energy, y, x, max(2.5, _EXTENT * peak), gaps=3 * _TIMES)
    found = _steady(pixels, rough) or rough
    starts = (top, left, 0, 0)
    return Area(*(value / _TIMES + start for value, start in zip(found, starts, strict=True))), peak


def covered(anchor: Anchor, place: Place | Area, shots: Sequence[Shot]) -> Box:
    """Return all that a place covers in pictures of these sizes."""
    sizes = {(shot.width, shot.height) for shot in shots}
    boxes = [box for size in sizes if (box := anchor.box(place, *size)).area > 0]
    if not boxes:
        return Box(0, 0, 0, 0)
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def overlap(one: Box, two: Box) -> float:
    """Return the common area as a share of the smaller box."""
    wide = min(one.right, two.right) - max(one.left, two.left)
    high = min(one.bottom, two.bottom) - max(one.top, two.top)
    return max(wide, 0) * max(high, 0) / max(min(one.area, two.area), 1e-9)


def extent(energy: Array, y: int, x: int, above: float, gaps: int = 5) -> Place:
    """Return the rectangle around the connected part, gaps of letters closed, that holds a position."""
    on = cv2.morphologyEx((energy > above).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((gaps, gaps), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(on, connectivity=8)
    left, top, width, height, _ = (int(value) for value in boxes[labels[y, x]])
    return Place(top, left, height, width)


def _steady(pixels: NDArray[np.uint8], rough: Place) -> Place | None:
    """Return the part of a place in which colours vary less than around it; None if there is hardly any.

    Args:
        pixels: `(n, h, w, 3)`.
        rough: the place.
    """
    spread = cv2.blur(pixels.astype(np.float32).std(axis=0).mean(axis=-1), (3, 3))
    around = np.ones(spread.shape, bool)
    around[rough.top : rough.top + rough.height, rough.left : rough.left + rough.width] = False
    if around.mean() < 0.1:
        return None
    lower = (spread < _STEADIER * float(np.median(spread[around]))).astype(np.uint8)
    lower[around] = 0
    lower = cv2.morphologyEx(lower, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if lower.sum() < _SOLID * rough.height * rough.width:
        return None
    # A pixel of the frame more: where a mark is off by a pixel or two, colours vary as much as beside it.
    lower = cv2.dilate(lower, np.ones((_TIMES + 2, _TIMES + 2), np.uint8))
    lower[around] = 0
    rows, columns = np.flatnonzero(lower.any(axis=1)), np.flatnonzero(lower.any(axis=0))
    return Place(
        int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    )
