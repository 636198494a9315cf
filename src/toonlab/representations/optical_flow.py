"""Optical flow between two pictures (DIS), warping along it, and where it can be trusted.

Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"; occlusion and motion boundaries after
Ruder et al. 2016 as in Lai et al. 2018, "Learning Blind Video Temporal Consistency".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PRESETS = {
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
}
_LEAST = 16  # pixels a side; DIS has patches of 8 on a pyramid


class Motion(NamedTuple):
    """How one frame came from the one before it.

    Attributes:
        back: `(H, W, 2)` float32 pixels, x then y: where each pixel of this frame was in the one before.
        reliable: `(H, W)` bool: neither newly uncovered nor on a motion boundary.
    """

    back: Array
    reliable: Array


class OpticalFlow:
    """Finds motion between frames `(H, W, 3)` uint8 RGB of one size."""

    def __init__(self, preset: str = "medium") -> None:
        """Take a DIS preset, `ultrafast`, `fast` or `medium`."""
        self._dis = cv2.DISOpticalFlow.create(PRESETS[preset])

    def motion(self, before: Array, now: Array) -> Motion:
        """Return the motion from `before` to `now`; both `(H, W, 3)` uint8."""
        old, new = grey(before), grey(now)
        back, ahead = self._flow(new, old), self._flow(old, new)
        return Motion(back, ~(occluded(back, ahead) | motion_boundaries(back)))

    def _flow(self, start: Array, end: Array) -> Array:
        height, width = start.shape
        padding = (0, max(0, _LEAST - height), 0, max(0, _LEAST - width))
        padded = [cv2.copyMakeBorder(each, *padding, cv2.BORDER_REPLICATE) for each in (start, end)]
        found: Array = self._dis.calc(padded[0], padded[1], None)  # type: ignore[call-overload]
        return np.ascontiguousarray(found[:height, :width])


def grey(picture: Array) -> Array:
    """Return `(H, W)` uint8 luma of `(H, W, 3)` uint8 RGB."""
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)


def warp(picture: Array, back: Array, interpolation: int = cv2.INTER_LINEAR) -> Array:
    """Return `picture` `(H, W)` or `(H, W, C)` sampled at each pixel plus `back`; edges are repeated."""
    height, width = back.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        picture, x + back[..., 0], y + back[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE
    )


def occluded(back: Array, ahead: Array) -> Array:
    """Return `(H, W)` bool: going back and ahead again does not return to the pixel, or leaves the picture.

    |back + ahead'|² > 0.01 (|back|² + |ahead'|²) + 0.5, ahead' being `ahead` where `back` leads.
    """
    height, width = back.shape[:2]
    returned = warp(ahead, back)
    gap = np.square(back + returned).sum(-1)
    size = np.square(back).sum(-1) + np.square(returned).sum(-1)
    x = np.arange(width, dtype=np.float32)[None] + back[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + back[..., 1]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    found: Array = (gap > 0.01 * size + 0.5) | outside
    return found


def motion_boundaries(back: Array) -> Array:
    """Return `(H, W)` bool: |∇u|² + |∇v|² > 0.01 |back|² + 0.002."""
    if min(back.shape[:2]) < 2:
        return np.zeros(back.shape[:2], bool)
    steep = sum(np.square(slope) for part in (0, 1) for slope in np.gradient(back[..., part]))
    found: Array = steep > 0.01 * np.square(back).sum(-1) + 0.002
    return found
