"""The flow made visible: noise smeared along it (line integral convolution, Cabral & Leedom 1993)."""

from __future__ import annotations

import cv2
import numpy as np

from toonlab.representations.flow.kernels import Array, along_flow
from toonlab.representations.flow.walks import filled, gaussian

_LENGTH = 10.0  # σ of a streak, in steps
_SPREAD = 2.5  # standard deviations to either end of the grey scale


def streaks(tangents: Array, *, scale: float = 1.0, threads: int = 1) -> Array:
    """Return `(H, W)`, 0..255: brush hair along `(H, W, 2)` tangents, grain where there are none."""
    height, width = tangents.shape[:2]
    noise: Array = np.random.default_rng(0).standard_normal((height, width), dtype=np.float32)
    if scale > 1:  # grain as coarse as the steps are long
        noise = cv2.GaussianBlur(noise, (0, 0), scale / 2)
    smeared = filled(along_flow, noise, tangents, gaussian(_LENGTH), scale, like=noise, threads=threads)
    smeared = (smeared - smeared.mean()) / max(float(smeared.std()), 1e-6)
    grey: Array = (127.5 * (1 + smeared / _SPREAD)).clip(0, 255).astype(np.float32)
    return grey
