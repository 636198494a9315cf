"""Coherent lines: a DoG across the flow, gathered along it (Kang et al. 2009, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toonlab.representations.flow.kernels import Array, across_flow, along_flow
from toonlab.representations.flow.walks import filled, gaussian


@dataclass(frozen=True, kw_only=True)
class FlowLines:
    """FDoG: where the response H along the flow is negative and 1 + tanh(H) < τ, there is a line.

    Works on grey levels 0..255. On [0, 1], where |H| stays below 0.5, the same rule would find nothing.

    Args:
        sigma_c: σ_c, pixels across the flow: the width of a line. The surround has σ_s = 1.6 σ_c.
        sigma_m: σ_m, pixels along the flow: longer is more coherent, and rounder at corners.
        rho: ρ, weight of the surround; nearer to 1 finds more lines, and more noise.
        tau: τ, in (0, 1]; larger finds more lines.
        passes: times the filter runs; from the second on the lines found are black in its input, which
            closes gaps.
        anti_alias: soften the line map by a 3x3 Gaussian.

    Raises:
        ValueError: a parameter out of range.
    """

    sigma_c: float = 1.0
    sigma_m: float = 3.0
    rho: float = 0.99
    tau: float = 0.5
    passes: int = 1
    anti_alias: bool = True

    def __post_init__(self) -> None:
        if self.passes < 1 or min(self.sigma_c, self.sigma_m) <= 0:
            raise ValueError(f"{self}: passes from 1, both sigmas above 0")
        if not 0 < self.tau <= 1 or not 0 <= self.rho <= 1:
            raise ValueError(f"{self}: 0 < tau <= 1 and 0 <= rho <= 1")

    def __call__(self, grey: Array, tangents: Array, *, scale: float = 1.0, threads: int = 1) -> Array:
        """Return `(H, W)` in [0, 1]: 0 is a line, 1 is paper.

        Args:
            grey: `(H, W)`, 0..255.
            tangents: `(H, W, 2)` from `EdgeTangentFlow`.
            scale: pixels that one pixel of the parameters stands for.
            threads: that share the rows.
        """
        seen, lines = grey, np.ones_like(grey)
        for number in range(self.passes):
            response = self.response(seen, tangents, scale=scale, threads=threads)
            # A later pass sees its own black lines as broad valleys; what was drawn stays drawn.
            found = (response < 0) & (1 + np.tanh(response) < self.tau)
            lines[found] = 0
            if number + 1 < self.passes:
                seen = cv2.GaussianBlur(np.where(lines == 0, np.float32(0), seen), (3, 3), 0)
        return cv2.GaussianBlur(lines, (3, 3), 0) if self.anti_alias else lines

    def response(self, grey: Array, tangents: Array, *, scale: float = 1.0, threads: int = 1) -> Array:
        """Return H, `(H, W)`, in grey levels; negative on lines."""
        across = filled(
            across_flow,
            *(grey, tangents, gaussian(self.sigma_c), gaussian(1.6 * self.sigma_c), self.rho, scale),
            like=grey,
            threads=threads,
        )
        return filled(along_flow, across, tangents, gaussian(self.sigma_m), scale, like=grey, threads=threads)
