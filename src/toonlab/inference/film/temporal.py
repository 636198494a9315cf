"""Less flicker: each painted frame is drawn towards the one before it, moved along the film's own motion.

Only where the motion can be trusted, the photo under it stayed what it was, and the two paintings differ as
flicker does, not as two things do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from toonlab.errors import check_choice
from toonlab.inference.film.colour import Array
from toonlab.representations.optical_flow import OpticalFlow, warp

KINDS = ("none", "flow")
_CUT = 0.5  # share of a frame without trusted motion from which on it begins a new scene


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steadiness:
    """How much of the frame before is kept, and what makes it less.

    Attributes:
        share: of the frame before, at most.
        photo: levels of 255 by which the photo may change, as a standard deviation.
        painting: the same for the painting; larger differences are no flicker.
        sharpen: the most by which fine detail is raised to what it was in the painting.
    """

    share: float = 0.93
    photo: float = 12.0
    painting: float = 50.0
    sharpen: float = 1.5


class Stabiliser:
    """Steadies the frames of one film, in order.

    Frames are warped by Lanczos over 8x8 pixels: with bilinear interpolation a third of the detail is gone
    after a few frames, because each steadied frame is warped again for the next.
    """

    def __init__(self, steadiness: Steadiness | None = None) -> None:
        self.steadiness = steadiness or Steadiness()
        self._flow = OpticalFlow()
        self._photo: Array | None = None
        self._painted: np.ndarray[Any, np.dtype[np.float32]] | None = None

    def steady(self, photo: Array, painted: Array) -> Array:
        """Return a painted frame `(H, W, 3)` uint8, steadied by those before it.

        Args:
            photo: what was painted, `(H, W, 3)` uint8.
            painted: the painting, of the same size.
        """
        result = painted.astype(np.float32)
        if self._photo is not None and self._painted is not None and not np.array_equal(photo, self._photo):
            result = self._blended(photo, result)
        elif self._painted is not None and self._photo is not None:
            result = self._painted  # the same frame once more, as in a film of a lower rate
        self._photo, self._painted = photo, result
        levels: Array = np.rint(result).clip(0, 255).astype(np.uint8)
        return levels

    def state(self) -> dict[str, Any]:
        """Return what the next frame needs to know, exactly."""
        if self._photo is None or self._painted is None:
            return {}
        return {"photo": self._photo, "painted": self._painted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._photo, self._painted = state.get("photo"), state.get("painted")

    def _blended(self, photo: Array, painted: Any) -> Any:
        assert self._photo is not None and self._painted is not None  # noqa: S101, PT018 (for mypy)
        by = self.steadiness
        motion = self._flow.motion(self._photo, photo)
        if motion.reliable.mean() < _CUT:
            return painted
        moved = warp(self._painted, motion.back, cv2.INTER_LANCZOS4)
        was = warp(self._photo, motion.back)
        trusted = cv2.erode(motion.reliable.astype(np.float32), np.ones((3, 3)))
        weight = by.share * cv2.GaussianBlur(trusted, (0, 0), 1.0)
        weight *= _likeness(photo.astype(np.float32) - was, by.photo)
        weight *= _likeness(moved - painted, by.painting)
        blended = painted + weight[..., None] * (moved - painted)
        return _as_sharp(blended, painted, by.sharpen).clip(0, 255)


def _likeness(difference: Any, spread: float) -> Any:
    """Return `(H, W)` in [0, 1], 1 where `(H, W, 3)` is nothing."""
    largest = cv2.GaussianBlur(np.abs(difference).max(-1), (0, 0), 1.0)
    return np.exp(-np.square(largest / spread) / 2)


def _as_sharp(blended: Any, painted: Any, most: float) -> Any:
    """Raise the finest detail of `blended` `(H, W, 3)` to the strength it has around there in `painted`.

    What two frames do not agree on is averaged away; without this, more with each frame.
    """
    fine = blended - cv2.GaussianBlur(blended, (0, 0), 0.7)
    wanted = _strength(painted - cv2.GaussianBlur(painted, (0, 0), 0.7))
    gain = (wanted / _strength(fine)).clip(1, most)
    return blended + (gain - 1)[..., None] * fine


def _strength(fine: Any) -> Any:
    return np.sqrt(cv2.GaussianBlur(np.square(fine).mean(-1), (0, 0), 3.0) + 0.25)


def stabiliser(kind: str) -> Stabiliser | None:
    """Return what `temporal=kind` asks for.

    Raises:
        UsageError: no such kind.
    """
    check_choice("temporal", kind, KINDS)
    return Stabiliser() if kind == "flow" else None
