"""Flat colours between edges: a bilateral filter along and across the flow (Kang et al. 2009, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toonlab.representations.flow.kernels import Array, bilateral
from toonlab.representations.flow.walks import filled, gaussian

_LIKENESS_CUT = 1e-3  # range weights below it count as none
_LEVELS = 4096  # entries of the range table


@dataclass(frozen=True, kw_only=True)
class FlowBilateral:
    """FBL: alternately across the flow (C_g) and along it (C_e), N times.

    A sample's weight is G_σ(distance along the walk) · G_r(colour distance), the distance being the
    length of the difference vector in RGB.

    Args:
        sigma_g: σ_g, pixels across the flow.
        range_g: r_g, grey levels 0..255, across the flow.
        sigma_e: σ_e, pixels along the flow.
        range_e: r_e, grey levels, along the flow.
        iterations: N.

    Raises:
        ValueError: a σ or r that is not positive, or a negative N.
    """

    sigma_g: float = 2.0
    range_g: float = 10.0
    sigma_e: float = 2.0
    range_e: float = 50.0
    iterations: int = 4

    def __post_init__(self) -> None:
        if self.iterations < 0 or min(self.sigma_g, self.range_g, self.sigma_e, self.range_e) <= 0:
            raise ValueError(f"{self}: iterations from 0, the others above 0")

    def __call__(self, rgb: Array, tangents: Array, *, scale: float = 1.0, threads: int = 1) -> Array:
        """Return the smoothed `(H, W, 3)`, 0..255; see `FlowLines` for the arguments."""
        passes = (
            (False, gaussian(self.sigma_g), *_likeness(self.range_g)),
            (True, gaussian(self.sigma_e), *_likeness(self.range_e)),
        )
        for _ in range(self.iterations):
            for follow, weights, likeness, per_level in passes:
                arguments = rgb, tangents, weights, likeness, per_level, follow, scale
                rgb = filled(bilateral, *arguments, like=rgb, threads=threads)
        return rgb


def _likeness(sigma: float) -> tuple[Array, float]:
    """Return a table of exp(-d²/2r²) over d², and the factor from d² to its index."""
    largest = -2 * sigma**2 * math.log(_LIKENESS_CUT)
    squares = (np.arange(_LEVELS) + 0.5) * (largest / _LEVELS)
    return np.exp(-squares / (2 * sigma**2)).astype(np.float32), _LEVELS / largest
