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

from toonlab.data.anchors import View

Array = NDArray[np.float32]

PLANES = 6
_BANDS = ((0.0, 1.5), (1.0, 4.0))  # frame pixels: detail between these two blurs
_LOCAL = 6.0  # frame pixels: contrast is measured relative to its surroundings
_NOISE = 0.02  # of 1: contrast below it counts as none, so a flat ground says nothing
_CLIP = 2.5  # times the surroundings' contrast
_LINE = 33  # frame pixels: longer straight lines are composition (a horizon, a tight crop) or bars, no mark
_SMOOTH = (5, 13)  # frame pixels: small marks stand out in one, wide and faint ones in the other
_FLOOR = 0.05  # squared contrast: where all pictures are flat, nothing is divided by nothing
_FLIPS = 48  # random sign patterns from which the null distribution is made
_AT_ONCE = 8


class Coherence(NamedTuple):
    """How much the pictures agree, at each position, `(H, W)`.

    `energy`: about 1 without a mark, up to the number of groups. `excess`: it, or its mean over wider
    surroundings, relative to what chance makes of it: above 1 the agreement is no chance.
    """

    energy: Array
    excess: Array


def details(view: View) -> Array:
    """Return `(6, H, W)` local contrasts: a fine and a coarse band of luma and two colour differences."""
    values = view.pixels[view.rows, view.columns].astype(np.float32) / 255
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = np.stack([luma, blue - luma, red - luma], axis=-1)  # filtered together
    found = np.zeros((PLANES, *view.pixels.shape[:2]), np.float32)
    for i, (fine, coarse) in enumerate(_BANDS):
        low = cv2.GaussianBlur(planes, (0, 0), fine) if fine else planes
        band = low - cv2.GaussianBlur(planes, (0, 0), coarse)
        around = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), _LOCAL)) + _NOISE
        contrast = np.clip(band / around, -_CLIP, _CLIP)
        contrast -= cv2.blur(contrast, (_LINE, 1))
        contrast -= cv2.blur(contrast, (1, _LINE))
        found[3 * i : 3 * i + 3, view.rows, view.columns] = contrast.transpose(2, 0, 1)
    return found


def grouped(stack: NDArray[np.floating], groups: Sequence[int] | NDArray[np.integer]) -> Array:
    """Return the mean of each group of pictures, `(groups, ...)`: the frames of one shot count once.

    Args:
        stack: `(n, ...)`.
        groups: of each picture, the number of its group; any numbers.
    """
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) == len(stack):
        return np.asarray(stack, dtype=np.float32)
    return np.stack([stack[numbers == i].astype(np.float32).mean(axis=0) for i in range(len(names))])


def coherence(means: Array, *, alpha: float, rng: np.random.Generator) -> Coherence:
    """Measure agreement, and how much of it there can be without a mark.

    Null: each group's detail could as well have the opposite sign. Random sign patterns give the
    distribution of the largest energy anywhere in the frame; a Gumbel law is fitted to it, whose
    `1 - alpha` quantile bounds the probability of one false position or more.

    Args:
        means: `(groups, planes, H, W)`.
        alpha: family-wise error over the frame's positions.
        rng: draws the signs.
    """
    groups, shape = len(means), means.shape[1:]
    flat = means.reshape(groups, -1)
    power = np.einsum("np,np->p", flat, flat).reshape(shape).sum(axis=0) + _FLOOR * groups

    def energies(signs: Array) -> list[Array]:
        total = (signs @ flat).reshape(-1, *shape)
        raw = np.einsum("rfhw,rfhw->rhw", total, total) / power
        # Mirrored borders would count a border's pixels twice.
        edge = cv2.BORDER_CONSTANT
        return [np.stack([cv2.blur(each, (k, k), borderType=edge) for each in raw]) for k in _SMOOTH]

    found = [each[0] for each in energies(np.ones((1, groups), np.float32))]
    both = np.array([-1, 1], np.float32)
    highest = np.concatenate(
        [
            [[each.max() for each in scale] for scale in energies(rng.choice(both, (_AT_ONCE, groups)))]
            for _ in range(_FLIPS // _AT_ONCE)
        ],
        axis=1,
    )
    excess = [each / _quantile(null, alpha / len(_SMOOTH)) for each, null in zip(found, highest, strict=True)]
    return Coherence(found[0], np.maximum(*excess))


def _quantile(highest: NDArray[np.floating], alpha: float) -> float:
    """Return the `1 - alpha` quantile of a Gumbel law with these draws' mean and variance."""
    scale = float(highest.std(ddof=1)) * np.sqrt(6) / np.pi
    location = float(highest.mean()) - np.euler_gamma * scale
    return float(location - scale * np.log(-np.log1p(-alpha)))
