"""A short vector of a latent, and an index over many of them: who comes into question."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = 2  # each way: means of four quarters tell a sky above a street from a street above a sky
_LINKS = 32  # neighbours of a node in the graph
_EFFORT = 4  # nodes looked at for each one asked for


def pool(latent: Tensor, known: Tensor) -> Array:
    """Return the means of a latent's known places in each of its quarters, `(4 * C,)` fp32.

    A quarter in which nothing is known gets the mean of all known places.

    Args:
        latent: `(C, h, w)`.
        known: `(1, h, w)`; some place is known.
    """
    size = min(PARTS, latent.shape[-2]), min(PARTS, latent.shape[-1])
    share = F.adaptive_avg_pool2d(known, size)
    means = F.adaptive_avg_pool2d(latent * known, size) / share.clamp(min=1e-12)
    overall = (latent * known).sum(dim=(1, 2), keepdim=True) / known.sum()
    pooled: Array = torch.where(share > 0, means, overall).flatten().numpy()
    return pooled


class PooledIndex:
    """FAISS's graph of neighbours (HNSW) over pooled vectors, each dimension in its own deviation."""

    def __init__(self, index: Any, scale: Array) -> None:
        self._index, self._scale = index, scale

    @classmethod
    def open(cls, pooled: Array, file: Path | None) -> PooledIndex:
        """Read the index of these vectors from `file`, or make it and keep it there."""
        scale = 1 / np.maximum(pooled.std(axis=0), 1e-6)
        if file is not None and file.is_file():
            with contextlib.suppress(RuntimeError):  # damaged: made anew
                index = faiss.read_index(str(file))
                if index.ntotal == len(pooled) and index.d == pooled.shape[1]:
                    return cls(index, scale)
        index = faiss.IndexHNSWFlat(pooled.shape[1], _LINKS)
        index.add(np.ascontiguousarray(pooled * scale, np.float32))
        if file is not None:
            part = file.with_name(f".{file.name}.{os.getpid()}.part")
            faiss.write_index(index, str(part))
            part.replace(file)
        return cls(index, scale)

    def search(self, vector: Array, k: int) -> Array:
        """Return the indices of about the `k` nearest vectors, ascending by index."""
        wanted = min(k, self._index.ntotal)
        effort = faiss.SearchParametersHNSW(efSearch=max(_EFFORT * wanted, 64))  # type: ignore[attr-defined]
        query = np.ascontiguousarray((vector * self._scale)[None], np.float32)
        found = self._index.search(query, wanted, params=effort)[1][0]
        return np.sort(found[found >= 0]).astype(np.int64)
