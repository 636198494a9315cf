"""Where pictures laid over each other agree in fine detail, as only a mark at a fixed place makes them.

The mean of `n` unrelated pictures keeps their common lighting and composition (a bright sky above, a head in
the middle) but no detail: signs of fine contrasts cancel like `1/sqrt(n)`. A mark's detail does not cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_BANDS = ((0.0, 1.5), (1.0, 4.0))  # frame pixels: detail between these two blurs
_LOCAL = 6.0  # frame pixels: contrast is measured relative to its surroundings
_NOISE = 0.02  # of 1: contrast below it counts as none, so a flat ground says nothing
_CLIP = 2.5
_LINE = 33  # frame pixels: longer straight lines are composition (a horizon, a tight crop) or bars, no mark
_SMOOTH = 5  # frame pixels
_FLOOR = 0.05
FLIPS = 48
"""Random sign patterns from which the null distribution is made."""


class Coherence(NamedTuple):
    """`energy`: `(H, W)`, about 1 without a mark, up to the number of groups; `limit`: its null's quantile."""

    energy: Array
    limit: float
    groups: int


def details(frame: NDArray[np.uint8], covered: tuple[slice, slice]) -> Array:
    """Return `(6, H, W)` local contrasts of a frame: two bands of luma and two colour differences."""
    values = frame.astype(np.float32) / 255
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    # One array of three planes: OpenCV filters them together.
    planes = np.stack([luma, blue - luma, red - luma], axis=-1)
    inside = planes[covered]
    found = np.zeros((2 * 3, *frame.shape[:2]), np.float32)
    for i, (fine, coarse) in enumerate(_BANDS):
        low = cv2.GaussianBlur(inside, (0, 0), fine) if fine else inside
        band = low - cv2.GaussianBlur(inside, (0, 0), coarse)
        around = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), _LOCAL)) + _NOISE
        contrast = np.clip(band / around, -_CLIP, _CLIP)
        contrast -= cv2.blur(contrast, (_LINE, 1))
        contrast -= cv2.blur(contrast, (1, _LINE))
        found[3 * i : 3 * i + 3, covered[0], covered[1]] = contrast.transpose(2, 0, 1)
    return found


def grouped(stack: NDArray[np.floating], groups: Sequence[int]) -> Array:
    """Return the mean of each group of pictures, `(groups, ...)`: frames of one shot count once.

    Args:
        stack: `(n, 6, H, W)`.
        groups: of each picture, its group's number, from 0 without a gap.
    """
    numbers = np.asarray(groups)
    count = int(numbers.max()) + 1
    if count == len(stack):
        return np.asarray(stack[np.argsort(numbers)], dtype=np.float32)
    means = np.zeros((count, *stack.shape[1:]), np.float32)
    for number in range(count):
        means[number] = stack[numbers == number].astype(np.float32).mean(axis=0)
    return means


def coherence(means: Array, *, alpha: float, rng: np.random.Generator) -> Coherence:
    """Measure agreement, and what it can be without any.

    Null: each group's detail could as well have the opposite sign. `FLIPS` random sign patterns give the
    distribution of the largest energy anywhere in the frame; a Gumbel law is fitted to it, whose
    `1 - alpha` quantile bounds the probability of one false position or more.

    Args:
        means: `(groups, 6, H, W)`.
        alpha: family-wise error over the frame's positions.
        rng: draws the signs.
    """
    m, shape = len(means), means.shape[1:]
    flat = means.reshape(m, -1)
    power = np.einsum("np,np->p", flat, flat).reshape(shape).sum(axis=0)
    floor = _FLOOR * m

    def energy(signs: Array) -> Array:
        total = (signs @ flat).reshape(-1, *shape)
        raw = np.einsum("rfhw,rfhw->rhw", total, total) / (power + floor)
        return np.stack([cv2.blur(each, (_SMOOTH, _SMOOTH)) for each in raw])

    found = energy(np.ones((1, m), np.float32))[0]
    highest = np.concatenate(
        [energy(rng.choice(np.array([-1, 1], np.float32), (8, m))).max(axis=(1, 2)) for _ in range(FLIPS // 8)]
    )
    spread = max(float(highest.std()) * np.sqrt(6) / np.pi, 1e-6)
    location = float(highest.mean()) - np.euler_gamma * spread
    return Coherence(found, location - spread * float(np.log(-np.log1p(-alpha))), m)
