"""How well a piece of fine detail fits one picture at one place, compared with all its other places."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from toonlab.data.anchors import SIDE, Place, View
from toonlab.data.coherence import PLANES, Array, grouped

TOP = 0.01
"""A picture shows a mark if at most this share of its other places fit the mark's template as well."""

_JITTER = 2  # frame pixels: a mark may be off by so much
_FLAT = 0.1  # of a contrast of 1: a flat place fits nothing
_FEWEST = 20  # places to compare with


class Matcher:
    """Detail maps of pictures, ready to be matched with templates.

    Args:
        maps: `(n, 6, SIDE, SIDE)`.
        views: which parts of them the pictures cover.
    """

    def __init__(self, maps: NDArray[np.floating], views: Sequence[View]) -> None:
        self.views, self.maps = list(views), maps
        self._spectra = np.stack([fft.rfft2(each.astype(np.float32)) for each in maps])
        self._power = np.zeros((len(maps), SIDE + 1, SIDE + 1))
        for i, each in enumerate(maps):
            square = each.astype(np.float32)
            self._power[i, 1:, 1:] = np.square(square).sum(axis=0).cumsum(0, dtype=float).cumsum(1)

    def fits(self, template: Array, chosen: NDArray[np.bool_] | slice = slice(None)) -> Array:
        """Return correlations in [-1, 1] at each place, `(n, SIDE - h + 1, SIDE - w + 1)`.

        Args:
            template: `(6, h, w)`.
            chosen: which pictures.
        """
        high, wide = template.shape[1:]
        padded = np.zeros((PLANES, SIDE, SIDE), np.float32)
        padded[:, :high, :wide] = template
        spectrum = np.conj(fft.rfft2(padded))
        product = fft.irfft2(np.einsum("nfhw,fhw->nhw", self._spectra[chosen], spectrum), s=(SIDE, SIDE))
        product = product[:, : SIDE - high + 1, : SIDE - wide + 1]
        sums = self._power[chosen]
        power = (
            sums[:, high:, wide:] - sums[:, :-high, wide:] - sums[:, high:, :-wide] + sums[:, :-high, :-wide]
        )
        norm = np.sqrt(np.maximum(power, 0)) + _FLAT * np.sqrt(template.size)
        whole = float(np.linalg.norm(template)) + 1e-9
        fit: Array = (product / (norm * whole)).astype(np.float32)
        return fit

    def template(
        self, place: Place, chosen: NDArray[np.bool_], groups: NDArray[np.integer], rounds: int = 1
    ) -> Array:
        """Return the mean detail at a place over the chosen pictures, `(6, h, w)`.

        Each picture is then shifted to where that mean fits best, and the mean taken anew: thin letters that
        are off by a pixel or two would blur each other away.
        """
        top, left, high, wide = place
        cuts = self.maps[chosen, :, top : top + high, left : left + wide]
        found: Array = grouped(cuts, groups[chosen]).mean(axis=0)
        for _ in range(rounds):
            fits = self.fits(found, chosen)
            y0, x0 = max(0, top - _JITTER), max(0, left - _JITTER)
            near = fits[:, y0 : top + _JITTER + 1, x0 : left + _JITTER + 1]
            ys, xs = np.unravel_index(near.reshape(len(near), -1).argmax(axis=1), near.shape[1:])
            cuts = np.stack(
                [
                    one[:, y0 + y : y0 + y + high, x0 + x : x0 + x + wide]
                    for one, y, x in zip(self.maps[chosen], ys, xs, strict=True)
                ]
            )
            found = grouped(cuts, groups[chosen]).mean(axis=0)
        return found

    def ranks(
        self, template: Array, place: Place, chosen: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return for each chosen picture which share of its other places fits at least as well, and the fit.

        Both are NaN for a picture that does not cover the place.
        """
        which = np.ones(len(self.views), bool) if chosen is None else chosen
        views = [view for view, wanted in zip(self.views, which, strict=True) if wanted]
        shares, here = np.full(len(views), np.nan), np.full(len(views), np.nan)
        reach = np.ones((2 * _JITTER + 1, 2 * _JITTER + 1), np.uint8)
        for i, (fit, view) in enumerate(zip(self.fits(template, which), views, strict=True)):
            top, bottom = view.rows.start, view.rows.stop - place.height
            left, right = view.columns.start, view.columns.stop - place.width
            if not (top <= place.top <= bottom and left <= place.left <= right):
                continue
            best = cv2.dilate(fit, reach)[top : bottom + 1, left : right + 1]
            y, x = place.top - top, place.left - left
            others = np.ones(best.shape, bool)
            rows = slice(max(0, y - place.height), y + place.height)
            others[rows, max(0, x - place.width) : x + place.width] = False
            if others.sum() >= _FEWEST:
                shares[i], here[i] = (best[others] >= best[y, x]).mean(), best[y, x]
        return shares, here
