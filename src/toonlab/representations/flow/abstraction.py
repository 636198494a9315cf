"""A photo drawn as a cartoon, without learning: flow-based image abstraction (Kang, Lee, Chui 2009)."""

from __future__ import annotations

import logging
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from toonlab.errors import check_choice
from toonlab.representations import compiled
from toonlab.representations.flow.bilateral import FlowBilateral
from toonlab.representations.flow.field import EdgeTangentFlow
from toonlab.representations.flow.kernels import Array
from toonlab.representations.flow.lines import FlowLines
from toonlab.representations.flow.picture import streaks
from toonlab.representations.flow.tones import Tones

log = logging.getLogger(__name__)

VERSION = 1
"""Raise it when the same parameters draw another picture than before."""

SHOWS = ("cartoon", "lines", "field", "bilateral", "tones")


class FlowAbstraction(nn.Module):
    """Colours smoothed along the flow, few tones, and dark lines multiplied on top.

    Deterministic; has no weights and passes no gradient. Works on the CPU whatever device images are on.

    Args:
        field: makes the flow.
        lines: draws on it.
        colours: smooths along it.
        tones: quantises the lightness.
        line_strength: 0 draws no lines, 1 draws them black.
        show: `cartoon`, or one step of the way: `lines`, `field` (streaks along the flow), `bilateral`,
            `tones`.
        reference_side: pixels; pictures with a larger shorter side get all lengths in proportion, so that
            a photo of any size is drawn as its small copy would be. None takes lengths in pixels as they are.
        black: the callers' value for black, -1 throughout toonlab; white is 1.
        threads: that share a picture's rows; None takes all cores that torch would use.

    Raises:
        ValueError: `show` or `line_strength` is none of these.
    """

    def __init__(
        self,
        *,
        field: EdgeTangentFlow,
        lines: FlowLines,
        colours: FlowBilateral,
        tones: Tones,
        line_strength: float = 1.0,
        show: str = "cartoon",
        reference_side: int | None = 640,
        black: float = -1.0,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        check_choice("show", show, SHOWS)
        if not 0 <= line_strength <= 1:
            raise ValueError(f"line_strength={line_strength} is not in [0, 1]")
        self.field, self.lines, self.colours, self.tones = field, lines, colours, tones
        self.line_strength, self.show, self.reference_side = line_strength, show, reference_side
        self.black, self.threads = black, threads or torch.get_num_threads()
        if not compiled.AVAILABLE:
            log.warning("numba is missing: a picture takes minutes instead of a second; pip install numba")

    def extra_repr(self) -> str:
        """All that decides what is drawn; `Teacher` tells its pictures apart by it."""
        parts = (self.field, self.lines, self.colours, self.tones)
        return f"{parts}, {self.line_strength}, {self.show!r}, {self.reference_side}, {self.black}, {VERSION}"

    def forward(self, images: Tensor) -> Tensor:
        """Map `(B, 3, H, W)` or grey `(B, 1, H, W)` in [black, 1] to the same shape.

        Raises:
            ValueError: another shape, or NaN or infinite values.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.numel():
            raise ValueError(f"FlowAbstraction needs (B, 3, H, W) or (B, 1, H, W), got {tuple(images.shape)}")
        if not torch.isfinite(images).all():
            raise ValueError("the images hold NaN or infinite values; the flow follows pixels only")
        levels = (images.detach().float().cpu() - self.black) * (255 / (1 - self.black))
        arrays = levels.clamp(0, 255).permute(0, 2, 3, 1).contiguous().numpy()
        drawn = torch.from_numpy(np.stack([self._draw(array) for array in arrays])).permute(0, 3, 1, 2)
        return (drawn * ((1 - self.black) / 255) + self.black).to(images)

    def _draw(self, picture: Array) -> Array:
        """Map `(H, W, C)`, 0..255, to the same."""
        channels = picture.shape[2]
        rgb = picture if channels == 3 else np.repeat(picture, 3, axis=2)
        drawn = self._draw_rgb(np.ascontiguousarray(rgb))
        return drawn if channels == 3 else drawn.mean(axis=2, keepdims=True)

    def _draw_rgb(self, rgb: Array) -> Array:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        scale = max(1.0, min(grey.shape) / self.reference_side) if self.reference_side else 1.0
        tangents = self.field(grey, scale)
        how: dict[str, Any] = {"scale": scale, "threads": self.threads}
        if self.show == "field":
            return _grey(streaks(tangents, **how))
        if self.show == "lines":
            return _grey(255 * self.lines(_softened(grey, scale), tangents, **how))
        colours = self.colours(_softened(rgb, scale), tangents, **how)
        if self.show == "bilateral":
            return colours
        colours = self.tones(colours)
        if self.show == "tones" or self.line_strength == 0:
            return colours
        lines = self.lines(_softened(grey, scale), tangents, **how)
        drawn: Array = colours * (1 - self.line_strength * (1 - lines))[..., None]
        return drawn


def _softened(picture: Array, scale: float) -> Array:
    """Take away what is finer than a step: the walks would sample it by chance."""
    return picture if scale == 1 else cv2.GaussianBlur(picture, (0, 0), scale / 2)


def _grey(picture: Array) -> Array:
    return np.repeat(picture[..., None], 3, axis=2)
