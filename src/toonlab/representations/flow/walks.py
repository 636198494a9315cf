"""Weight tables for walks, and walks shared out among threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from toonlab.representations.flow.kernels import Array

_CUT = 0.001  # of a normalised Gaussian's height: where Kang's program ends its tables
_BAND = 64  # rows; fewer are not worth a thread


def gaussian(sigma: float) -> Array:
    """Return weights at 0, 1, 2, ... steps, up to where the normalised Gaussian falls below 0.001.

    Args:
        sigma: in steps.

    Raises:
        ValueError: not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma={sigma}: it must be positive")
    height = 1 / (math.sqrt(2 * math.pi) * sigma)
    reach = math.ceil(sigma * math.sqrt(max(0.0, 2 * math.log(height / _CUT))))
    return (height * np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)).astype(np.float32)


def filled(kernel: Callable[..., None], *arguments: Any, like: Array, threads: int) -> Array:
    """Call a walk's kernel on bands of rows; every pixel is its own, so the bands cannot change a result."""
    out = np.empty_like(like)
    height = like.shape[0]
    bands = max(1, min(threads, height // _BAND))
    cuts = [height * i // bands for i in range(bands + 1)]
    if bands == 1:
        kernel(*arguments, out, 0, height)
        return out
    with ThreadPoolExecutor(bands) as pool:
        jobs = [pool.submit(kernel, *arguments, out, *ends) for ends in itertools.pairwise(cuts)]
        for job in jobs:
            job.result()
    return out
