"""Marks at a fixed place (emoji, logos, watermarks) that tell two domains apart without looking at the style.

Two tests, and a mark has to pass both. *Agreement*: fine detail that does not cancel in the mean over
pictures, against random signs (`coherence`). *Held-out match*: the mean detail of one half of the pictures,
taken as a template, fits the other half's pictures better here than almost anywhere else in them, in more
pictures than templates of equal-sized control places do. Composition (a horizon, a head in the middle) may
pass the first, but its detail is another one in each picture, so it fails the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from toonlab.data.anchors import SIDE, Anchor, Area, Place, Shot, View, anchors
from toonlab.data.coherence import PLANES, Array, coherence, details, grouped
from toonlab.data.extent import covered, extent, measured, overlap
from toonlab.data.ignore import Box
from toonlab.data.matching import TOP, Matcher

ALPHA = 0.01
"""Family-wise error of each test, over all positions, frames and both domains."""

LEAST = 0.1
"""A mark in a smaller share of the pictures is not told from chance and composition."""

_CANDIDATES = 3  # places of each frame that are put to the second test
_CONTROLS = 6  # other places of the same size, mirror images first
_LARGEST = 64  # frame pixels: of a larger place, a part is matched
_SMALLEST = 6
_APART = 4  # frame pixels between two candidates
_SAME = 0.2  # of the smaller box's area: two finds are one mark
_GROUP = 0.5  # correlation of detail thumbnails, from which two pictures are frames of one shot
_FEWEST = 12  # groups; with fewer, nothing is tested


class Mark(NamedTuple):
    """A mark at a fixed place.

    `share`: of this domain's pictures that show it, at least. `other`: of the other domain's. `control`: how
    often templates of other places are found. `p`: the chance of so many matches, times the tests made.
    `auc`: how well the match alone tells the domains apart on pictures that the template was not made of.
    `excess`: agreement relative to chance. `box`: all that it may cover in pictures of the sizes at hand.
    """

    domain: str
    anchor: Anchor
    place: Area
    box: Box
    share: float
    other: float
    control: float
    p: float
    auc: float
    excess: float

    @property
    def is_shortcut(self) -> bool:
        """Whether it tells the domains apart; else both have it, or there is no other domain."""
        return not np.isnan(self.other) and self.other < 0.5 * self.share


class Domain(NamedTuple):
    """Pictures of one domain, and which of them are frames of one shot."""

    name: str
    shots: Sequence[Shot]
    groups: NDArray[np.integer]


def groups(shots: Sequence[Shot]) -> NDArray[np.integer]:
    """Number pictures so that near-equal ones, such as a film's neighbouring frames, share a number."""
    thumbs = np.stack([_thumb(shot) for shot in shots])
    return np.asarray(connected_components(csr_matrix(thumbs @ thumbs.T > _GROUP), directed=False)[1])


def find_marks(
    domains: Sequence[Domain], *, seed: int = 0, workers: int = 1, step: Callable[[], object] = lambda: None
) -> list[Mark]:
    """Search one or two domains, and look for what one has in the other.

    Args:
        domains: of each, at least 12 groups are needed to test anything.
        seed: of halves, signs and control places.
        workers: threads.
        step: called after each of the `frames_of` every domain.
    """
    tests = sum(len(frames_of(domain)) for domain in domains)
    found = list[Mark]()
    for domain in domains:
        others = [each for each in domains if each is not domain]
        suspects = list[_Suspect]()
        for number, anchor in enumerate(frames_of(domain)):
            frame = _Frame(domain, anchor, workers)
            suspects += frame.suspects(ALPHA / tests, np.random.default_rng([seed, number]))
            step()
        marks = list[Mark]()
        # In the frame that a mark is fixed to it agrees most; in the others it is smeared.
        for suspect in sorted(suspects, key=lambda suspect: -suspect.excess):
            box = covered(suspect.anchor, suspect.place, domain.shots)
            if any(overlap(box, mark.box) > _SAME for mark in marks):
                continue
            frame = _Frame(domain, suspect.anchor, workers)
            if not (proof := frame.prove(suspect, seed, tests * _CANDIDATES, others)):
                continue
            near = [s for s in suspects if overlap(box, covered(s.anchor, s.place, domain.shots)) > _SAME]
            showing = [shot for shot, shows in zip(domain.shots, proof.shows, strict=True) if shows]
            numbers = domain.groups[proof.shows]
            extents = [(s.anchor, *measured(showing, numbers, s.anchor, s.place)) for s in near]
            anchor, area, _ = max(extents, key=lambda each: each[2])
            marks.append(Mark(domain.name, anchor, area, covered(anchor, area, domain.shots), *proof[1:]))
        found += marks
    return found


def frames_of(domain: Domain) -> list[Anchor]:
    """Return the frames of reference in which a domain is searched; none if it has too few pictures."""
    if len(np.unique(domain.groups)) < _FEWEST:
        return []
    return anchors([(shot.width, shot.height) for shot in domain.shots])


class _Suspect(NamedTuple):
    """A place where pictures agree beyond chance; `excess` is relative to chance."""

    anchor: Anchor
    place: Place
    window: Place
    excess: float


class _Proof(NamedTuple):
    """Which pictures show a mark, and the rest of what `Mark` tells of it."""

    shows: NDArray[np.bool_]
    share: float
    other: float
    control: float
    p: float
    auc: float
    excess: float


class _Frame:
    """All pictures of a domain in one frame of reference."""

    def __init__(self, domain: Domain, anchor: Anchor, workers: int) -> None:
        self.domain, self.anchor, self.workers = domain, anchor, workers
        self.maps, self.views = stack(domain.shots, anchor, workers)

    def suspects(self, alpha: float, rng: np.random.Generator) -> Iterator[_Suspect]:
        """Yield places where the pictures agree beyond chance, the most agreeing first."""
        excess = coherence(grouped(self.maps, self.domain.groups), alpha=alpha, rng=rng).excess
        left = excess.copy()
        for _ in range(_CANDIDATES):
            peak = float(left.max())
            if peak <= 1:
                return
            y, x = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
            place = extent(excess, y, x, max(1, 0.25 * peak))
            yield _Suspect(self.anchor, place, _window(place, y, x), peak)
            rows = slice(max(0, place.top - _APART), place.top + place.height + _APART)
            left[rows, max(0, place.left - _APART) : place.left + place.width + _APART] = 0

    def prove(self, suspect: _Suspect, seed: int, tests: int, others: Sequence[Domain]) -> _Proof | None:
        """Match each half of the pictures with the other half's mean detail; None if that proves nothing."""
        rng = np.random.default_rng(seed)
        numbers, place = self.domain.groups, suspect.window
        matcher = Matcher(self.maps, self.views)
        names = np.unique(numbers)
        first = np.isin(numbers, rng.permutation(names)[: len(names) // 2])

        def match(at: Place) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
            shares, fits = np.empty(len(first)), np.empty(len(first))
            for half in (first, ~first):
                shares[~half], fits[~half] = matcher.ranks(matcher.template(at, half, numbers), at, ~half)
            return shares, fits

        ranks, fits = match(place)
        share, n = _rate(ranks, numbers)
        if share < LEAST:
            return None
        control = max([TOP, *(_rate(match(at)[0], numbers)[0] for at in _controls(place, rng))])
        p = min(1.0, float(stats.binom.sf(int(share * n) - 1, n, control)) * tests)
        if p > ALPHA or (share - control) / (1 - control) < LEAST:
            return None
        shows = np.nan_to_num(ranks, nan=1.0) < TOP
        other = auc = float("nan")
        if others:
            maps, views = stack(others[0].shots, self.anchor, self.workers)
            elsewhere, their_fits = Matcher(maps, views).ranks(matcher.template(place, shows, numbers), place)
            other, auc = _rate(elsewhere, others[0].groups)[0], _auc(fits, their_fits)
        return _Proof(shows, share, other, control, p, auc, suspect.excess)


def stack(shots: Sequence[Shot], anchor: Anchor, workers: int) -> tuple[NDArray[np.float16], list[View]]:
    """Return all pictures' `details` in a frame, `(n, 6, SIDE, SIDE)`, and where they cover it."""
    maps = np.empty((len(shots), PLANES, SIDE, SIDE), np.float16)

    def fill(i: int) -> View:
        view = anchor.view(shots[i])
        maps[i] = details(view)
        return view

    with ThreadPoolExecutor(workers) as pool:  # OpenCV lets go of the interpreter
        return maps, list(pool.map(fill, range(len(shots))))


def _window(place: Place, y: int, x: int) -> Place:
    """Return what of a place is matched: enough to show detail, little enough to leave others."""

    def cut(start: int, length: int, centre: int) -> tuple[int, int]:
        wanted = min(max(length, _SMALLEST), _LARGEST)
        start = start - (wanted - length) // 2 if length < wanted else max(centre - wanted // 2, start)
        return min(max(start, 0), SIDE - wanted), wanted

    (top, height), (left, width) = cut(place.top, place.height, y), cut(place.left, place.width, x)
    return Place(top, left, height, width)


def _controls(place: Place, rng: np.random.Generator) -> list[Place]:
    """Return places of equal size that do not meet this one, its mirror images first."""
    left, top = SIDE - place.left - place.width, SIDE - place.top - place.height
    tried = [place._replace(left=left), place._replace(top=top), place._replace(left=left, top=top)]
    for _ in range(4 * _CONTROLS):
        random = rng.integers(0, [SIDE - place.height + 1, SIDE - place.width + 1])
        tried.append(place._replace(top=int(random[0]), left=int(random[1])))
    apart = [
        other
        for other in tried
        if abs(other.top - place.top) >= place.height or abs(other.left - place.left) >= place.width
    ]
    return apart[:_CONTROLS]


def _rate(ranks: NDArray[np.floating], numbers: NDArray[np.integer]) -> tuple[float, int]:
    """Return the share of groups that show a mark, as the mean over groups, and their number."""
    seen = ~np.isnan(ranks)
    if not seen.any():
        return 0.0, 0
    means = grouped((ranks[seen] < TOP).astype(float), numbers[seen])
    return float(means.mean()), len(means)


def _auc(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    ours, theirs = ours[~np.isnan(ours)], theirs[~np.isnan(theirs)]
    if not len(ours) or not len(theirs):
        return float("nan")
    return float(stats.mannwhitneyu(ours, theirs).statistic) / (len(ours) * len(theirs))


def _thumb(shot: Shot) -> Array:
    grey = cv2.cvtColor(shot.pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 4)
    detail = np.clip(detail / (np.abs(detail).mean() + 2), -2, 2).ravel()
    return np.asarray(detail / (np.linalg.norm(detail) + 1e-6), dtype=np.float32)
