"""What a film shows that is no picture: black bars, and subtitles burnt into the lower part."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_BLACK = 26  # of 255: a bar with the noise of compression
_LIT = 0.02  # share of the frames in which a line must be lit to be picture
_LOWER = 0.6  # share of the height below which subtitles stand
_WORK_HEIGHT = 360  # pixels: on which text is looked for


class Window(NamedTuple):
    """What is picture, in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


class Matte:
    """Watches frames from all over a film, `(H, W)` grey uint8 of one size, full resolution."""

    def __init__(self) -> None:
        self.frames = 0
        self._rows: Array = np.zeros(0)
        self._columns: Array = np.zeros(0)
        self._text: Array = np.zeros(_WORK_HEIGHT)
        self._shape = 0, 0

    def add(self, grey: Array) -> None:
        """Take a frame; black ones say nothing, and neither do frames of another size."""
        if self.frames == 0:
            self._shape = grey.shape[0], grey.shape[1]
            self._rows, self._columns = np.zeros(grey.shape[0]), np.zeros(grey.shape[1])
        if grey.shape != self._shape or float(grey.mean()) < 16:
            return
        self.frames += 1
        # A fifth of the line must be lit: a subtitle in the bar, or a logo, does not make it picture.
        self._rows += np.percentile(grey[:, ::4], 80, axis=1) > _BLACK
        self._columns += np.percentile(grey[::4], 80, axis=0) > _BLACK
        self._text += text_rows(grey)

    def window(self) -> Window:
        """Return the picture without bars; a line that was lit in a scene or two is picture."""
        height, width = self._shape
        top, bottom = _lit(self._rows, self.frames)
        left, right = _lit(self._columns, self.frames)
        if (bottom - top) * (right - left) < 0.3 * height * width:  # a film of night, not of bars
            return Window(0, 0, width, height)
        return Window(left, top, right, bottom)

    def text_top(self, rate: float) -> int | None:
        """Return the row above the subtitles; None if there are none.

        Args:
            rate: share of the frames in which text stands at one height, from which on it is subtitles.
        """
        if self.frames < 8:
            return None
        share = self._text / self.frames
        first = int(_LOWER * _WORK_HEIGHT)
        elsewhere = float(np.quantile(share[_WORK_HEIGHT // 5 : first], 0.9))
        peak = float(share[first:].max())
        if peak < max(rate, 3 * elsewhere):  # a wall of letters is text everywhere
            return None
        # Subtitles of two lines are rarer than those of one.
        lines = np.flatnonzero(share[first:] >= max(peak / 6, rate / 3, 1.5 * elsewhere))
        row = first + int(lines[0]) - 2
        return int(row * self._shape[0] / _WORK_HEIGHT)


def _lit(counts: Array, frames: int) -> tuple[int, int]:
    lit = np.flatnonzero(counts > _LIT * frames) if frames else np.zeros(0)
    return (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, len(counts))


def text_rows(grey: Array) -> Array:
    """Return for each of 360 rows 1 where a line of letters seems to stand, else 0.

    Letters are thin bright strokes with something dark beside them, many in a row, of one height, about
    the middle of the picture.
    """
    height, width = grey.shape
    small = cv2.resize(
        grey, (round(width * _WORK_HEIGHT / height), _WORK_HEIGHT), interpolation=cv2.INTER_AREA
    )
    wide = small.shape[1]
    strokes = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, np.ones((7, 7), np.uint8))
    mask = ((strokes > 70) & (small > 150)).astype(np.uint8)
    lines = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, 15), np.uint8))
    lines = cv2.morphologyEx(lines, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    rows = np.zeros(_WORK_HEIGHT)
    _, _, boxes, centres = cv2.connectedComponentsWithStats(lines, connectivity=8)
    for (left, top, w, h, area), (x, _) in zip(boxes[1:], centres[1:], strict=True):
        of_text = 5 <= h <= 32 and w >= 2.5 * h and w >= 0.05 * wide and area >= 0.45 * w * h
        ink = float(mask[top : top + h, left : left + w].mean())
        if of_text and 0.12 < ink < 0.75 and abs(x - wide / 2) < 0.4 * wide:
            rows[top : top + h] = 1
    return rows
