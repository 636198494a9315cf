"""Shots of a film: where it cuts and dissolves, and which frames of each are worth keeping."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_BINS = 16
_THUMB = 64, 36  # pixels: on which frames are compared


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How shots are told apart, and what is taken from each.

    Args:
        cut: change between two frames, in [0, 1], below which there is no cut.
        ratio: by how much a cut's change exceeds its neighbours'.
        min_shot: seconds; a shorter shot gives no frame.
        per_shot: frames of each shot, at even distances.
        margin: seconds from the ends of a shot that are left out.
        flat: share of a frame in one narrow band of brightness from which on it is black, blank, or credits.
        dark: mean brightness, of 255, up to which a frame is black.
        sharp: variance of the Laplacian up to which a frame is a blur.
    """

    cut: float
    ratio: float
    min_shot: float
    per_shot: int
    margin: float
    flat: float
    dark: float
    sharp: float


class Moment(NamedTuple):
    """What is kept of a frame that was looked at."""

    seconds: float
    change: float  # from the frame before, [0, 1]
    dissolve: bool
    sharpness: float
    flat: float
    luma: float


class Pick(NamedTuple):
    """A frame that was chosen: its number in the film, its shot's, and when it is shown."""

    frame: int
    shot: int
    seconds: float
    sharpness: float


@dataclass
class Series:
    """Measures frames one after the other; keeps a few numbers of each and a few thumbnails in all."""

    fps: float
    moments: list[Moment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reach = _reach(self.fps)
        self._recent: deque[Array] = deque(maxlen=2 * self._reach + 1)
        self._histogram: Array | None = None

    def add(self, seconds: float, picture: Array) -> None:
        """Take the next frame, `(H, W, 3)` uint8; about 320 pixels wide are enough."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        thumb = cv2.resize(grey, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)
        bins = [cv2.calcHist([picture], [c], None, [_BINS], [0, 256]).ravel() for c in range(3)]
        histogram = np.concatenate(bins) / (3 * grey.size)
        change = 0.0
        if self._histogram is not None:
            colours = float(np.abs(histogram - self._histogram).sum()) / 2
            luma = float(np.abs(thumb - self._recent[-1]).mean()) / 64
            change = (colours + min(1.0, luma)) / 2
        self._recent.append(thumb)
        self._histogram = histogram
        counts = np.bincount(grey.ravel() // 4, minlength=64)
        flat = float(np.convolve(counts, np.ones(4), "valid").max()) / grey.size  # a band of 16 levels
        sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
        self.moments.append(Moment(seconds, change, False, sharpness, flat, float(grey.mean())))
        if len(self._recent) == self._recent.maxlen and self._blends():
            middle = len(self.moments) - 1 - self._reach
            self.moments[middle] = self.moments[middle]._replace(dissolve=True)

    def _blends(self) -> bool:
        """Whether the frame in the middle of the recent ones is the average of the outer two.

        A dissolve or a fade is (measured: mostly 0.06 to 0.18 of their distance away from it); something that
        moves is in neither place (0.23 and more, of pans).
        """
        first, middle, last = (self._recent[i] for i in (0, self._reach, -1))
        apart = float(np.abs(first - last).mean())
        return apart > 10 and float(np.abs(middle - (first + last) / 2).mean()) < 0.2 * apart


def _reach(fps: float) -> int:
    """Return how many frames before and after one are compared: a sixth of a second."""
    return max(2, round(fps / 6))


def shots(moments: Sequence[Moment], sampling: Sampling, fps: float) -> list[tuple[int, int]]:
    """Return each shot as (first, behind the last) frame.

    A cut changes more than `sampling.cut`, and `sampling.ratio` times what the half second around it does on
    average: fast motion is a change in every frame. A dissolve ends a shot in its middle.
    """
    change = np.array([m.change for m in moments])
    half = max(2, round(fps / 2))
    cuts = {0, len(moments)}
    for i in np.flatnonzero(change >= sampling.cut).tolist():
        low, high = max(1, i - half), i + half + 1
        around = np.concatenate([change[low:i], change[i + 1 : high]])
        # Of a flash, and of a neighbouring cut, the largest change would hide this one; the rest tells.
        calm = float(np.sort(around)[: max(1, len(around) - 2)].mean()) if len(around) else 0.0
        if change[i] >= sampling.ratio * calm:
            cuts.add(i)
    for first, end in _dissolves(moments, fps):
        cuts = {c for c in cuts if not first < c < end or c in (0, len(moments))}
        cuts.add((first + end) // 2)
    edges = sorted(cuts)
    return [(a, b) for a, b in pairwise(edges) if b > a]


def pick(moments: Sequence[Moment], sampling: Sampling, fps: float) -> tuple[list[Pick], Counter[str]]:
    """Choose frames, and count why shots or parts of them gave none.

    Each shot, less a margin at either end, is cut into `per_shot` equal parts; of each the sharpest frame
    that is neither flat, dark, nor in a dissolve is taken.
    """
    picks, dropped = list[Pick](), Counter[str]()
    margin = round(sampling.margin * fps)
    blended = [False] * len(moments)
    for first, end in _dissolves(moments, fps):
        blended[first:end] = [True] * (end - first)
    for number, (first, end) in enumerate(shots(moments, sampling, fps)):
        if end - first < sampling.min_shot * fps:
            dropped["shot too short"] += 1
            continue
        low, high = (0 if first == 0 else margin), (0 if end == len(moments) else margin)
        inner = (first + low, end - high) if end - first > low + high else (first, end)
        for part in range(sampling.per_shot):
            span = inner[1] - inner[0]
            of_part = range(
                inner[0] + span * part // sampling.per_shot, inner[0] + span * (part + 1) // sampling.per_shot
            )
            if not of_part:
                continue
            reasons = [_against(moments[i], blended[i], sampling) for i in of_part]
            good = [i for i, reason in zip(of_part, reasons, strict=True) if not reason]
            if not good:
                dropped[Counter(reasons).most_common(1)[0][0]] += 1
                continue
            best = max(good, key=lambda i: moments[i].sharpness)
            picks.append(Pick(best, number, moments[best].seconds, moments[best].sharpness))
    return picks, dropped


def _against(moment: Moment, blended: bool, sampling: Sampling) -> str:
    if moment.luma <= sampling.dark:
        return "black"
    if moment.flat >= sampling.flat:
        return "flat or credits"
    if blended:
        return "dissolve or fade"
    return "blurred" if moment.sharpness <= sampling.sharp else ""


def _dissolves(moments: Sequence[Moment], fps: float) -> list[tuple[int, int]]:
    """Return (first, behind the last) of each dissolve, all of it.

    Only its inner frames are seen to be averages, and not every one of them: near ones are one dissolve,
    and it reaches as far beyond them as the frames they were compared with.
    """
    reach, found = _reach(fps), list[tuple[int, int]]()
    for i in (i for i, moment in enumerate(moments) if moment.dissolve):
        first, end = max(0, i - reach), min(len(moments), i + reach + 1)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found
