"""The smoothest surface through what is known: the best plain guess where single pixels are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

Array = np.ndarray[Any, np.dtype[Any]]


def biharmonic(values: Array, known: Array) -> Array:
    """Fill `(C, H, W)` where `known` `(H, W)` is false, with the least mean squared Laplacian.

    A thin plate (Neumann at the picture's border) bends through its known points, where a membrane as of
    `blend.poisson` has a spike at each. It overshoots in wide holes.
    """
    height, width = known.shape
    unknown = np.flatnonzero(~known)
    bends = _laplacian(height, width)
    flat = values.reshape(len(values), -1).astype(np.float64)
    free = bends[:, unknown]
    given = -(free.T @ (bends @ np.where(known.ravel(), flat, 0.0).T))
    # Symmetric and positive definite, as long as a pixel is known.
    factors = linalg.splu(
        (free.T @ free).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    filled = flat.copy()
    filled[:, unknown] = factors.solve(given).T
    return filled.reshape(values.shape)


def scattered(known: Array, *, reach: float = 4.0, share: float = 0.5) -> bool:
    """Whether single pixels are missing: no more than `share`, each within `reach` pixels of a known one."""
    missing = ~known
    return bool(missing.mean() <= share) and bool(depth(known).max() <= reach)


def depth(known: Array) -> Array:
    """Return each pixel's distance to the nearest known one, `(H, W)` in pixels; infinite without any."""
    if not known.any():
        return np.full(known.shape, np.inf, np.float32)
    # Not OpenCV's: in version 5 the same mask gives other last bits from call to call.
    distances: Array = ndimage.distance_transform_edt(~known).astype(np.float32)
    return distances


def _laplacian(height: int, width: int) -> sparse.csc_array:
    def second(n: int) -> sparse.dia_array:
        middle = np.full(n, -2.0)
        middle[[0, -1]] = -1.0 if n > 1 else 0.0
        return sparse.diags_array([np.ones(n - 1), middle, np.ones(n - 1)], offsets=[-1, 0, 1])

    along = sparse.kron(sparse.eye_array(height), second(width))
    return sparse.csc_array(along + sparse.kron(second(height), sparse.eye_array(width)))
