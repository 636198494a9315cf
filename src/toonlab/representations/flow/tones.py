"""Few tones with soft steps between them (Winnemöller et al. 2006, used by Kang et al. 2009, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toonlab.representations.flow.kernels import Array


@dataclass(frozen=True, kw_only=True)
class Tones:
    """Pulls Lab's L towards the centres of equal bins: Q = q + (Δ/2) · tanh(φ_q (L - q) / (Δ/2)).

    Args:
        bins: n, over L's range of 100; Δ = 100 / n. 0 leaves the tones alone.
        sharpness: φ_q; at 3 the steps are continuous to 0.5 %, larger is harder.
        saturation: factor on a and b; 1 is the photo's own. Not in the papers.

    Raises:
        ValueError: a negative number.
    """

    bins: int = 8
    sharpness: float = 3.0
    saturation: float = 1.0

    def __post_init__(self) -> None:
        if self.bins < 0 or self.sharpness <= 0 or self.saturation < 0:
            raise ValueError(f"{self}: sharpness above 0, the others from 0")

    def __call__(self, rgb: Array) -> Array:
        """Map `(H, W, 3)` RGB, 0..255, to the same."""
        if not self.bins and self.saturation == 1:
            return rgb
        lab = cv2.cvtColor(rgb / 255, cv2.COLOR_RGB2LAB)
        if self.bins:
            lab[..., 0] = self.quantised(lab[..., 0])
        lab[..., 1:] = lab[..., 1:] * self.saturation
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1) * 255

    def quantised(self, lightness: Array) -> Array:
        """Map L, 0..100, to the same."""
        half = 50 / self.bins
        centre = (np.floor(lightness / (2 * half)).clip(0, self.bins - 1) * 2 + 1) * half
        steps: Array = centre + half * np.tanh(self.sharpness * (lightness - centre) / half)
        return steps.astype(np.float32)
