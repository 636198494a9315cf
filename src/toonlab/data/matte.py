"""What a film shows that is no picture: black bars, and subtitles burnt into the lower part."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_BLACK = 26  # of 255: a bar with the noise of compression
_LIT = 0.02  # share of the frames in which a line must be lit to be picture
_LOWER = 0.6  # share of the height below which subtitles stand
_BLOCKS, _RECURS = 8, 3  # parts of a film, and in how many of them subtitles stand
_GAP = 14  # rows of 360 between two lines of text
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
        self._text: list[Array] = []  # 360 bytes a frame, two frames a second
        self.shape = 0, 0

    def add(self, grey: Array) -> None:
        """Take a frame; black ones say nothing, and neither do frames of another size."""
        if self.frames == 0:
            self.shape = grey.shape[0], grey.shape[1]
            self._rows, self._columns = np.zeros(grey.shape[0]), np.zeros(grey.shape[1])
        if grey.shape != self.shape or float(grey.mean()) < 16:
            return
        self.frames += 1
        # Half of a row must be lit: a subtitle in the bar does not make it picture. Of a column, a fifth.
        self._rows += np.percentile(grey[:, ::4], 50, axis=1) > _BLACK
        self._columns += np.percentile(grey[::4], 80, axis=0) > _BLACK
        self._text.append(text_rows(grey))

    def window(self) -> Window:
        """Return the picture without bars; a line that was lit in a scene or two is picture."""
        height, width = self.shape
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
        if self.frames < _BLOCKS:
            return None
        # One shot of a fence may be a tenth of a film; subtitles come back all over it.
        blocks = np.stack([np.stack(block).mean(axis=0) for block in _eighths(self._text)])
        share = np.where((blocks >= rate / 2).sum(axis=0) >= _RECURS, blocks.mean(axis=0), 0)
        first = int(_LOWER * _WORK_HEIGHT)
        elsewhere = float(np.quantile(share[_WORK_HEIGHT // 5 : first], 0.9))
        peak = float(share[first:].max())
        if peak < max(rate, 3 * elsewhere):  # a wall of letters is text everywhere
            return None
        # Up from there, over the gap between two lines; those of two lines are rarer than those of one.
        often = (blocks >= rate / 4).sum(axis=0) >= _RECURS
        text = often & (blocks.mean(axis=0) >= max(peak / 6, 1.5 * elsewhere))
        row = first + int(np.argmax(share[first:]))
        while row > first and text[max(first, row - _GAP) : row].any():
            row -= 1
        return int((row - 2) * self.shape[0] / _WORK_HEIGHT)


def _eighths(items: list[Array]) -> list[list[Array]]:
    n = len(items)
    return [items[n * i // _BLOCKS : n * (i + 1) // _BLOCKS] for i in range(_BLOCKS)]


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
    rows = np.zeros(_WORK_HEIGHT, np.uint8)
    _, _, boxes, centres = cv2.connectedComponentsWithStats(lines, connectivity=8)
    for (left, top, w, h, area), (x, _) in zip(boxes[1:], centres[1:], strict=True):
        of_text = 5 <= h <= 32 and w >= 2.5 * h and w >= 0.05 * wide and area >= 0.45 * w * h
        ink = float(mask[top : top + h, left : left + w].mean())
        if of_text and 0.12 < ink < 0.75 and abs(x - wide / 2) < 0.4 * wide:
            rows[top : top + h] = 1
    return rows
