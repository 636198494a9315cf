"""Four-segment collages, as Voilà makes them: a photo and three cartoons of it, two by two.

A collage shows one content four times, so its edges repeat at a fixed distance in both directions; those
two distances give the segments, a separating line of any width included. A seam in the middle alone is
no proof: four different photos have one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SEGMENTS = ("top_left", "top_right", "bottom_left", "bottom_right")

_WORK_SIDE = 384  # pixels: segments are found on a picture of this longer side
_BLUR = 1.5  # sigma in working pixels: a cartoon's lines lie near the photo's edges, not on them
_REACH = 0.08  # share of a side: how far from the middle the distance of the copies may be


class Box(NamedTuple):
    """A rectangle in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a collage has to reach; docs/data.md has the figures they were set by.

    Args:
        seam: share of a seam's length along which the picture jumps, in [0, 1].
        alignment: correlation of the least alike two segments' edges, in [-1, 1].
        same: mean difference of photo and cartoon, of 255, below which they are one picture.
        aspect: longest by shortest side of a segment.
        min_side: pixels; shortest side of a segment.
    """

    seam: float
    alignment: float
    same: float
    aspect: float
    min_side: int


@dataclass(frozen=True)
class Verdict:
    """What was found: `reason` is empty for a collage; boxes are in the order of `SEGMENTS`."""

    reason: str
    boxes: tuple[Box, ...]
    scores: dict[str, float]


def find(picture: Array, limits: Limits) -> Verdict:
    """Judge an `(H, W, 3)` uint8 picture."""
    frame = _content(picture)
    inside = picture[frame.top : frame.bottom, frame.left : frame.right]
    height, width = inside.shape[:2]
    if min(height, width) // 2 < limits.min_side:
        return Verdict(f"too small: {width}x{height} hold no segments of {limits.min_side}", (), {})
    factor = min(1.0, _WORK_SIDE / max(height, width))
    small = cv2.resize(inside, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    scores = {"vertical_seam": _seam(small), "horizontal_seam": _seam(small.transpose(1, 0, 2))}
    boxes = _segments(inside, small)
    pieces = [inside[box.top : box.bottom, box.left : box.right] for box in boxes]
    if min(pieces[0].shape[:2]) < limits.min_side:
        return Verdict("no two by two segments", (), scores)
    scores["alignment"] = alignment(pieces)
    scores["difference"] = _difference(pieces)
    boxes = tuple(
        Box(b.left + frame.left, b.top + frame.top, b.right + frame.left, b.bottom + frame.top) for b in boxes
    )
    return Verdict(_reason(boxes[0], scores, limits), boxes, scores)


def _reason(box: Box, scores: dict[str, float], limits: Limits) -> str:
    sides = sorted((box.right - box.left, box.bottom - box.top))
    if scores["vertical_seam"] < limits.seam:
        return "no vertical seam in the middle"
    if scores["horizontal_seam"] < limits.seam:
        return "no horizontal seam in the middle"
    if scores["alignment"] < limits.alignment:
        return "the segments show different things"
    if scores["difference"] < limits.same:
        return "two segments are the same picture"
    if sides[1] > limits.aspect * sides[0]:
        return f"segments of {sides[1]} by {sides[0]} pixels are too long"
    return ""


def _content(picture: Array) -> Box:
    """Return what a frame of one colour leaves."""
    height, width = picture.shape[:2]
    rows, columns = (np.flatnonzero(~_flat_lines(p)) for p in (picture, picture.transpose(1, 0, 2)))
    if not len(rows) or not len(columns):
        return Box(0, 0, width, height)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _flat_lines(picture: Array) -> Array:
    """Return which rows are of one colour: nine tenths of them, as JPEG rings beside what is not."""
    middle = np.median(picture, axis=1, keepdims=True)
    away = np.abs(picture - middle).max(axis=2)
    flat: Array = np.percentile(away, 90, axis=1) < 16
    return flat


def _seam(picture: Array) -> float:
    """Return the largest share of rows that jump at one column near the middle.

    A row jumps where it changes by more than thrice what it does nearby.
    """
    width = picture.shape[1]
    grey = picture.astype(np.float32)
    step = np.abs(grey[:, 2:] - grey[:, :-2]).max(axis=2)  # at column x + 1, over two: JPEG blurs a jump
    nearby = cv2.blur(step, (17, 1))
    jumps = (step > 3 * np.maximum(nearby - step * 3 / 17, 0)) & (step > 8)
    low, high = int(width * (0.5 - _REACH)), int(width * (0.5 + _REACH))
    return float(jumps[:, low:high].mean(axis=0).max())


def _segments(picture: Array, small: Array) -> tuple[Box, ...]:
    """Return the four boxes that the distances of the copies imply.

    The right copies end where the picture does, so that a width w and a distance d make W = d + w; a
    line between them is d - w wide, and as wide between the upper and the lower ones, below which a
    strip may follow.
    """
    height, width = picture.shape[:2]
    edges, scale = _edges(small), width / small.shape[1]
    near_x, near_y = (_distance(e, None, 0) for e in (edges, edges.T))
    fine = _edges(picture)
    reach = int(np.ceil(scale)) + 1
    dx = _distance(fine, round(near_x * scale), reach)
    dy = _distance(fine.T, round(near_y * height / small.shape[0]), reach)
    w = width - dx
    gap = max(0, dx - w)
    h = min(dy - gap, height - dy)
    w = min(w, dx)
    return tuple(Box(x, y, x + w, y + h) for y in (0, dy) for x in (0, dx))


def _distance(edges: Array, near: int | None, reach: int) -> int:
    """Return by how many columns the picture's copies lie apart."""
    edges = edges[:: max(1, edges.shape[0] // 800)]  # enough rows; a large picture has more
    width = edges.shape[1]
    middle, most = (width // 2, int(width * _REACH)) if near is None else (near, reach)
    shifts = range(max(1, middle - most), min(width - 1, middle + most) + 1)
    return max(shifts, key=lambda d: _correlation(edges[:, : width - d], edges[:, d:]))


def _edges(picture: Array) -> Array:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), _BLUR).astype(np.float32)
    dx, dy = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    return np.sqrt(cv2.magnitude(dx, dy))  # the root, as a cartoon's lines are stronger than a photo's


def alignment(pieces: Sequence[Array]) -> float:
    """Return the correlation of the two least alike pictures' edges, borders left out.

    Args:
        pieces: `(H, W, 3)` uint8.
    """
    side = _WORK_SIDE // 2
    maps = []
    for piece in pieces:
        height, width = piece.shape[:2]
        factor = side / max(height, width)
        size = max(16, round(width * factor)), max(16, round(height * factor))
        edges = _edges(cv2.resize(piece, size, interpolation=cv2.INTER_AREA))
        cut = side // 32
        maps.append(cv2.GaussianBlur(edges[cut:-cut, cut:-cut], (0, 0), _BLUR))
    return min(_correlation(a, b) for a, b in combinations(maps, 2))


def _difference(pieces: Sequence[Array]) -> float:
    """Return the mean difference of the two most alike segments, of 255."""
    small = [cv2.resize(piece, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) for piece in pieces]
    return min(float(np.abs(a - b).mean()) for a, b in combinations(small, 2))


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
