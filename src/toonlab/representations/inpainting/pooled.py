"""A short vector of a latent, and an index over many of them: who comes into question."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from torch import Tensor
from torch.nn import functional as F

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = 4  # each way; an encoder that ends in InstanceNorm says little in the mean of a whole map


def pool(latent: Tensor) -> Array:
    """Return the means of a latent's 4x4 parts, `(16, C)` fp32, for `(C, h, w)`; fewer of a smaller map."""
    return _rows(F.adaptive_avg_pool2d(latent, _parts(latent)))


class PooledIndex:
    """FAISS over pooled maps, asked for the least distance of the parts that are known.

    Σ_r w_r·‖m_r - q_r‖² is up to a constant an inner product, of (m_1, …, ‖m_1‖², …) with
    (-2·w_1·q_1, …, w_1, …): so one index serves every mask, exactly. By Jensen's inequality a part that is
    all known adds no more than its share of the full maps' distance.

    Args:
        pooled: `(n, parts, C)`, of `pool`.
    """

    def __init__(self, pooled: Array) -> None:
        squares = (pooled.astype(np.float32) ** 2).sum(axis=2)
        vectors = np.concatenate([pooled.reshape(len(pooled), -1), squares], axis=1)
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def search(self, latent: Tensor, known: Tensor, k: int) -> Array:
        """Return the indices of the `k` nearest, nearest first.

        Args:
            latent: `(C, h, w)`.
            known: `(1, h, w)`; some place is known.
            k: how many; fewer if there are not as many.
        """
        size = _parts(latent)
        share = F.adaptive_avg_pool2d(known, size)
        means = _rows(F.adaptive_avg_pool2d(latent * known, size) / share.clamp(min=1e-12))
        weight = _rows(share)
        query = np.concatenate([(-2 * weight * means).ravel(), weight.ravel()])
        found = self._index.search(np.ascontiguousarray(-query[None], np.float32), min(k, self._index.ntotal))
        order: Array = found[1][0].astype(np.int64)
        return order


def _parts(latent: Tensor) -> tuple[int, int]:
    return min(PARTS, latent.shape[-2]), min(PARTS, latent.shape[-1])


def _rows(parts: Tensor) -> Array:
    rows: Array = parts.flatten(1).T.contiguous().float().numpy()
    return rows
