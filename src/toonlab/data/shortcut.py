"""Marks at a fixed place: found in one half of the pictures, proved in the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, stats

from toonlab.data.anchors import SIDE, Anchor
from toonlab.data.coherence import Array, coherence, details, grouped

ALPHA = 0.01
_CANDIDATES = 3
_TOP = 0.01
_JITTER = 2
_LARGEST = 64
_CONTROLS = 6
_LEAST = 0.10


class Place(NamedTuple):
    top: int
    left: int
    height: int
    width: int


class Found(NamedTuple):
    anchor: Anchor
    place: Place
    share: float
    control: float
    p: float
    present: NDArray[np.bool_]
    template: Array
    peak: float
    limit: float
    groups: int


def stack(pictures: Sequence[NDArray[np.uint8]], anchor: Anchor) -> tuple[NDArray[np.float16], list[tuple[slice, slice]]]:
    maps = np.empty((len(pictures), 6, SIDE, SIDE), np.float16)
    covers = []
    for i, picture in enumerate(pictures):
        frame, covered = anchor.view(picture)
        maps[i] = details(frame, covered)
        covers.append(covered)
    return maps, covers


def candidates(maps, groups, rng, alpha):
    found = coherence(grouped(maps, groups), alpha=alpha, rng=rng)
    energy = found.energy
    median = float(np.median(energy))
    spread = 1.4826 * float(np.median(np.abs(energy - median)))
    limit = max(found.limit, median + 5 * spread)
    left = energy.copy()
    places = []
    for _ in range(_CANDIDATES):
        peak = float(left.max())
        if peak <= limit:
            break
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        on = (energy > max(limit, 0.25 * peak)).astype(np.uint8)
        on = cv2.morphologyEx(on, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(on, connectivity=8)
        a, b, w, h, _ = boxes[labels[y, x]]
        places.append((Place(int(b), int(a), int(h), int(w)), peak, limit, (int(y), int(x))))
        left[max(0, b - 2) : b + h + 2, max(0, a - 2) : a + w + 2] = 0
    return places, found


def window(place: Place, peak: tuple[int, int]) -> Place:
    """The part of a large place that is matched."""
    def cut(start, length, centre):
        if length <= _LARGEST:
            length2 = max(length, 6)
            start = min(max(start - (length2 - length) // 2, 0), SIDE - length2)
            return start, length2
        return min(max(centre - _LARGEST // 2, start), start + length - _LARGEST), _LARGEST
    top, height = cut(place.top, place.height, peak[0])
    left, width = cut(place.left, place.width, peak[1])
    return Place(top, left, height, width)


class Matcher:
    """How well a template fits at each place of each picture."""

    def __init__(self, maps, covers):
        self.maps = maps
        self.covers = covers
        self.spectra = fft.rfft2(maps.astype(np.float32), axes=(-2, -1))
        power = (maps.astype(np.float32) ** 2).sum(axis=1)
        self.sums = np.zeros((len(maps), SIDE + 1, SIDE + 1), np.float32)
        self.sums[:, 1:, 1:] = power.cumsum(1, dtype=np.float64).cumsum(2)

    def scores(self, template: Array) -> Array:
        """`(n, SIDE - h + 1, SIDE - w + 1)` correlations in [-1, 1]."""
        h, w = template.shape[1:]
        padded = np.zeros((6, SIDE, SIDE), np.float32)
        padded[:, :h, :w] = template
        spectrum = np.conj(fft.rfft2(padded, axes=(-2, -1)))
        both = np.einsum("nfhw,fhw->nhw", self.spectra, spectrum)
        product = fft.irfft2(both, s=(SIDE, SIDE), axes=(-2, -1))[:, : SIDE - h + 1, : SIDE - w + 1]
        s = self.sums
        power = s[:, h:, w:] - s[:, :-h, w:] - s[:, h:, :-w] + s[:, :-h, :-w]
        norm = np.sqrt(np.maximum(power, 0)) + 0.1 * np.sqrt(6 * h * w)
        return product / (norm * np.sqrt((template**2).sum()) + 1e-9)

    def ranks(self, template: Array, place: Place) -> tuple[NDArray, NDArray]:
        """Share of other positions in the same picture that fit at least as well; NaN where it is not covered."""
        scores = self.scores(template)
        k = 2 * _JITTER + 1
        u = np.full(len(scores), np.nan)
        at = np.full(len(scores), np.nan)
        for i, (score, (rows, cols)) in enumerate(zip(scores, self.covers, strict=True)):
            y0, y1, x0, x1 = rows.start, rows.stop - place.height, cols.start, cols.stop - place.width
            if not (y0 <= place.top <= y1 and x0 <= place.left <= x1):
                continue
            pooled = cv2.dilate(np.ascontiguousarray(score), np.ones((k, k), np.uint8))[y0 : y1 + 1, x0 : x1 + 1]
            y, x = place.top - y0, place.left - x0
            here = pooled[y, x]
            other = np.ones(pooled.shape, bool)
            other[max(0, y - place.height) : y + place.height, max(0, x - place.width) : x + place.width] = False
            # A place may fill the frame from side to side.
            if other.sum() < 20:
                continue
            u[i] = (pooled[other] >= here).mean()
            at[i] = here
        return u, at


def rate(u, groups):
    """Share of groups present, effective count."""
    ok = ~np.isnan(u)
    g = np.asarray(groups)[ok]
    hit = (u[ok] < _TOP).astype(float)
    if not len(g):
        return 0.0, 0
    _, inverse = np.unique(g, return_inverse=True)
    n = inverse.max() + 1
    mean = np.bincount(inverse, hit) / np.bincount(inverse)
    return float(mean.mean()), int(n)


def search(pictures, anchor, groups, *, seed=0, tests=1, verbose=False):
    rng = np.random.default_rng(seed)
    maps, covers = stack(pictures, anchor)
    groups = np.asarray(groups)
    order = rng.permutation(groups.max() + 1)
    first = np.isin(groups, order[: len(order) // 2])
    renumber = lambda g: np.unique(g, return_inverse=True)[1]
    places, co = candidates(maps[first], renumber(groups[first]), rng, ALPHA)
    if not places:
        return [], co
    second = ~first
    matcher = Matcher(maps[second], [c for c, s in zip(covers, second) if s])
    mean = grouped(maps[first], renumber(groups[first])).mean(axis=0)
    out = []
    for place, peak, limit, at in places:
        win = window(place, at)
        def template(w):
            return mean[:, w.top : w.top + w.height, w.left : w.left + w.width]
        u, score = matcher.ranks(template(win), win)
        share, n = rate(u, groups[second])
        controls = []
        others = [
            win._replace(left=SIDE - win.left - win.width),
            win._replace(top=SIDE - win.top - win.height),
            win._replace(left=SIDE - win.left - win.width, top=SIDE - win.top - win.height),
        ]
        while len(others) < _CONTROLS:
            others.append(win._replace(top=int(rng.integers(0, SIDE - win.height + 1)), left=int(rng.integers(0, SIDE - win.width + 1))))
        for o in others:
            if abs(o.top - win.top) < win.height and abs(o.left - win.left) < win.width:
                continue
            cu, _ = matcher.ranks(template(o), o)
            controls.append(rate(cu, groups[second])[0])
        base = max(_TOP, float(np.mean(controls)) if controls else 0)
        k = int(np.floor(share * n))
        p = float(stats.binom.sf(k - 1, n, base)) if n else 1.0
        if verbose:
            print(f"   {anchor} {place} peak {peak:.1f} null {co.limit:.1f} lim {limit:.1f} m {co.groups} share {share:.2f} n {n} controls {np.round(controls,2)} p {p:.1e}")
        out.append((place, win, share, base, controls, p, peak, co.limit, n))
    return out, co
