"""Edge tangent flow: at each pixel the direction of the nearest strong edge (Kang et al. 2009, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from toonlab.errors import check_choice
from toonlab.representations.flow.kernels import Array, tangents_by_definition

_FLAT = 1e-2  # Sobel response to grey levels 0..255 below which there is only rounding: no direction
_RANK = 3  # of the tanh weight's factors: largest error of a weight 2e-4 at sharpness 1
_LEVELS = 256  # of magnitude, where the tanh weight is factored; linear in between


@dataclass(frozen=True, kw_only=True)
class EdgeTangentFlow:
    """Turns the gradient by 90 degrees and smooths it along edges, the strong ones prevailing.

    One iteration replaces each tangent t(x), with y over the disc |x - y| < μ, by the unit vector of
    Σ w_m(x, y) · (t(x)·t(y)) · t(y); the product is the paper's φ · w_d. Magnitudes stay as they are.
    A pixel without any gradient keeps the zero vector.

    `separable` uses that t(y)t(y)ᵀ does not depend on x, and that w_m is a short sum of products
    u(ĝ(x))·v(ĝ(y)): the sum over the disc becomes a few convolutions of whole images. Exact for the
    `linear` weight, and within 0.06 degrees (99.9th percentile) for `tanh`. Kang's own short cut, a row and
    then a column, is not offered: it is some 80 degrees off there (benchmarks/flow.py). `full` adds up the
    definition tap by tap.

    Args:
        radius: μ, pixels.
        iterations: of the smoothing; 0 leaves the gradient's own tangents.
        weight: w_m; `linear` is ½(1 + ĝ(y) - ĝ(x)) of 2009, `tanh` ½(1 + tanh(η(ĝ(y) - ĝ(x)))) of 2007.
        sharpness: η of the tanh weight.
        blur: σ in pixels of the Gaussian before the gradient.
        method: `separable` or `full`.

    Raises:
        ValueError: an unknown weight or method, or a negative number.
    """

    radius: int = 5
    iterations: int = 3
    weight: str = "linear"
    sharpness: float = 1.0
    blur: float = 1.5
    method: str = "separable"

    def __post_init__(self) -> None:
        check_choice("weight", self.weight, ["linear", "tanh"])
        check_choice("method", self.method, ["separable", "full"])
        if self.radius < 1 or self.iterations < 0 or self.blur <= 0:
            raise ValueError(f"{self}: radius from 1, iterations from 0, blur above 0")

    def __call__(self, grey: Array, scale: float = 1.0) -> Array:
        """Return unit tangents `(H, W, 2)` as (x, y), zero where the picture is flat.

        Args:
            grey: `(H, W)`, 0..255.
            scale: factor on `radius` and `blur`.
        """
        blurred = cv2.GaussianBlur(grey, (0, 0), self.blur * scale, borderType=cv2.BORDER_REPLICATE)
        across = cv2.Sobel(blurred, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
        down = cv2.Sobel(blurred, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
        size = cv2.magnitude(across, down)
        size[size < _FLAT] = 0
        tangents = unit(np.stack([-down, across], axis=-1) * (size > 0)[..., None])
        magnitude = size / max(float(size.max(initial=0)), _FLAT)
        radius = max(1, round(self.radius * scale))
        if self.method == "full":
            return self._full(tangents, magnitude, radius)
        return self._separable(tangents, magnitude, radius)

    def _full(self, tangents: Array, magnitude: Array, radius: int) -> Array:
        sharpness = self.sharpness if self.weight == "tanh" else 0.0
        for _ in range(self.iterations):
            tangents = unit(tangents_by_definition(tangents, magnitude, radius, sharpness))
        return tangents

    def _separable(self, tangents: Array, magnitude: Array, radius: int) -> Array:
        here, there = self._factors(magnitude)
        disc = _disc(radius)
        weights = _gathered(there * (tangents != 0).any(-1, keepdims=True), here, disc)
        for _ in range(self.iterations):
            x, y = tangents[..., 0], tangents[..., 1]
            # With double angles, t(y)t(y)ᵀ = ½(|t|² + [[c, s], [s, -c]]).
            c = _gathered(there * (x * x - y * y)[..., None], here, disc)
            s = _gathered(there * (2 * x * y)[..., None], here, disc)
            tangents = unit(np.stack([(weights + c) * x + s * y, s * x + (weights - c) * y], axis=-1))
        return tangents

    def _factors(self, magnitude: Array) -> tuple[Array, Array]:
        """Return `(H, W, K)` u and v with w_m(x, y) = Σ u_k(x) v_k(y), up to a common factor."""
        if self.weight == "linear":
            one = np.ones_like(magnitude)
            return np.stack([1 - magnitude, one], axis=-1), np.stack([one, magnitude], axis=-1)
        grid = np.linspace(0, 1, _LEVELS)
        u, v = (
            np.stack([np.interp(magnitude, grid, column) for column in table.T], axis=-1).astype(np.float32)
            for table in _tables(self.sharpness)
        )
        return u, v


@cache
def _tables(sharpness: float) -> tuple[Array, Array]:
    """Factor the tanh weight on a grid of magnitudes: `(levels, rank)` u and v."""
    grid = np.linspace(0, 1, _LEVELS)
    left, values, right = np.linalg.svd(1 + np.tanh(sharpness * (grid - grid[:, None])))
    return left[:, :_RANK] * values[:_RANK], right[:_RANK].T


def _disc(radius: int) -> Array:
    """Return the disc's indicator as a kernel, `(2·radius - 1)` pixels wide."""
    offsets = np.arange(-radius + 1, radius)
    inside = offsets[:, None] ** 2 + offsets**2 < radius**2
    kernel: Array = inside.astype(np.float32)
    return kernel


def _gathered(there: Array, here: Array, disc: Array) -> Array:
    """Return Σ_k u_k · (disc * v_k): `(H, W)` from two `(H, W, K)`; nothing lies beyond the border."""
    total = np.zeros(there.shape[:2], np.float32)
    for k in range(there.shape[2]):
        part = np.ascontiguousarray(there[..., k])
        total += here[..., k] * cv2.filter2D(part, -1, disc, borderType=cv2.BORDER_CONSTANT)
    return total


def unit(vectors: Array) -> Array:
    """Return `(H, W, 2)` vectors at length 1; zero stays zero."""
    length = cv2.magnitude(vectors[..., 0], vectors[..., 1])
    scaled: Array = vectors / np.where(length > 0, length, 1)[..., None]
    return scaled
