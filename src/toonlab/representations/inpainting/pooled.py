"""A latent in short, and an index over many of them: who comes into question."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = 8  # each way; an encoder that ends in InstanceNorm says little in the mean of a whole map


def pool(latent: Tensor) -> Array:
    """Return mean and mean square (summed over channels) of each of 8x8 parts of `(C, h, w)`: `(64, C + 1)`.

    fp32; a smaller map has fewer parts.
    """
    both = torch.cat([latent, latent.square().sum(dim=0, keepdim=True)])
    return _rows(F.adaptive_avg_pool2d(both, _parts(latent)))


class PooledIndex:
    """FAISS over pooled maps, for the masked distance to them.

    Σ_r w_r·(mean‖z‖²_r - 2·mean(z)_r·q_r) is, up to a constant, the distance of full maps to a query that is
    q_r all over part r; and an inner product, so one index serves every mask. Of 450 photos' CartoonGAN
    latents, the nearest is among its first 20 in 99 % of box, block and half holes; in 94 % with no mean
    squares, in 57 % with 4x4 parts and without them.

    Args:
        pooled: `(n, parts, C + 1)`, of `pool`.
    """

    def __init__(self, pooled: Array) -> None:
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # else it tells which build it took
        import faiss  # here, because a small bank does without

        self._index = faiss.IndexFlatIP(pooled[0].size)
        self._index.add(np.ascontiguousarray(pooled.reshape(len(pooled), -1), np.float32))

    def search(self, latent: Tensor, known: Tensor, k: int) -> Array:
        """Return the indices of the `k` nearest, nearest first.

        Args:
            latent: `(C, h, w)`.
            known: `(1, h, w)`; some place is known.
            k: how many; fewer if there are not as many.
        """
        size = _parts(latent)
        share = F.adaptive_avg_pool2d(known, size)
        seen = F.adaptive_avg_pool2d(latent * known, size)  # already the known share times the known mean
        query = _rows(torch.cat([2 * seen, -share])).ravel()
        found = self._index.search(np.ascontiguousarray(query[None]), min(k, self._index.ntotal))
        order: Array = found[1][0].astype(np.int64)
        return order


def _parts(latent: Tensor) -> tuple[int, int]:
    return min(PARTS, latent.shape[-2]), min(PARTS, latent.shape[-1])


def _rows(parts: Tensor) -> Array:
    rows: Array = parts.flatten(1).T.contiguous().float().numpy()
    return rows
