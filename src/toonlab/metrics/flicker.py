"""Flicker of painted films: what changes from frame to frame without the film's own motion.

After Lai et al. 2018, "Learning Blind Video Temporal Consistency": flow and occlusions are the source film's,
the error is between a frame and the one before it, moved along that flow, over pixels that are not occluded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from toonlab.representations.optical_flow import OpticalFlow, grey, warp

Array = np.ndarray[Any, np.dtype[np.uint8]]
SOURCE = "source"


@dataclasses.dataclass
class _Sums:
    """Of one film, over its frames."""

    before: Array | None = None
    mean: float = 0.0
    square: float = 0.0
    laplacian: float = 0.0
    gradient: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steady:
    """Scores of one film.

    Attributes:
        warp_error: mean absolute difference, in [0, 1] of the full range.
        warp_error_squared: mean square of the same, which is what the paper reports.
        laplacian: variance of the Laplacian of the luma, a measure of sharpness; levels of 255, squared.
        gradient: mean squared gradient of the luma, another; levels of 255, squared.
    """

    warp_error: float
    warp_error_squared: float
    laplacian: float
    gradient: float


class Flicker:
    """Scores several paintings of one film side by side, a frame at a time, and the film itself.

    Attributes:
        frames: seen.
        compared: pairs of frames that had a pixel in common.
    """

    def __init__(self) -> None:
        self.frames, self.compared = 0, 0
        self._flow = OpticalFlow()
        self._films: dict[str, _Sums] = {}
        self._visible = 0.0

    def add(self, photo: Array, painted: Mapping[str, Array]) -> None:
        """Take the next frame.

        Args:
            photo: of the source, `(H, W, 3)` uint8.
            painted: the same frame of each painted film, by the film's name; of the same size.

        Raises:
            ValueError: another size.
        """
        shown = {SOURCE: photo, **painted}
        if any(each.shape != photo.shape for each in shown.values()):
            raise ValueError(f"frames of different sizes: {sorted(each.shape for each in shown.values())}")
        films = {name: self._films.setdefault(name, _Sums()) for name in shown}
        before = films[SOURCE].before
        if before is not None:
            motion = self._flow.motion(before, photo)
            self._visible += float(motion.reliable.mean())
            if motion.reliable.any():
                self.compared += 1
                for name, sums in films.items():
                    self._compare(sums, shown[name], motion.back, motion.reliable)
        for name, sums in films.items():
            luma = grey(shown[name]).astype(np.float32)
            sums.laplacian += float(cv2.Laplacian(luma, cv2.CV_32F).var())
            sums.gradient += float(sum(np.square(slope).mean() for slope in np.gradient(luma)))
            sums.before = shown[name]
        self.frames += 1

    def compute(self) -> dict[str, Steady]:
        """Return the scores of each film; the source's are under `SOURCE`.

        Raises:
            ValueError: fewer than two frames, or none that have anything in common.
        """
        if not self.compared:
            raise ValueError(f"{self.frames} frames have no motion in common: flicker needs two at least")
        return {
            name: Steady(
                warp_error=sums.mean / self.compared,
                warp_error_squared=sums.square / self.compared,
                laplacian=sums.laplacian / self.frames,
                gradient=sums.gradient / self.frames,
            )
            for name, sums in self._films.items()
        }

    @property
    def visible(self) -> float:
        """Share of pixels that were compared."""
        return self._visible / max(1, self.frames - 1)

    @staticmethod
    def _compare(sums: _Sums, now: Array, back: Any, seen: Any) -> None:
        assert sums.before is not None  # noqa: S101 (for mypy: every film has every frame)
        moved = warp(sums.before.astype(np.float32), back)
        difference = (now.astype(np.float32) - moved)[seen] / 255
        sums.mean += float(np.abs(difference).mean())
        sums.square += float(np.square(difference).mean())
