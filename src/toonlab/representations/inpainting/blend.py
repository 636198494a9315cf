"""Poisson blending (Pérez et al. 2003): the inside keeps its gradients and takes the outside's level.

Why not `cv2.seamlessClone`: it centres the mask's bounding box and loses the outermost pixels of the hole, so
it cannot paste in place at a picture's border.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import linalg
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

DIRECT = 150_000  # unknown pixels; beyond, factors take more memory than they save time
_TOLERANCE = 1e-6  # root mean square of the residual: half a level of 8 bits at most, measured


def poisson(inside: Tensor, outside: Tensor, known: Tensor, *, direct: int = DIRECT) -> Tensor:
    """Paste `inside` into the holes of `outside` without a seam; `(B, 3, H, W)` in [-1, 1] each.

    Solves Δu = Δinside in the hole with u = outside on its border, channel by channel; at the picture's
    border the gradient is the inside's own (Neumann). Where nothing is known it is `inside` as it is.

    Args:
        inside: gradients of the hole.
        outside: all that is known; returned bit by bit there.
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
        direct: up to this many unknown pixels by one factorisation for all channels, beyond by conjugate
            gradients from a coarser solution.
    """
    is_known = known > 0.5
    blended = [_blend(*each, direct) for each in zip(inside, outside, is_known, strict=True)]
    return torch.where(is_known, outside, torch.stack(blended))


def _blend(inside: Tensor, outside: Tensor, known: Tensor, direct: int) -> Tensor:
    if known.all() or not known.any():
        return inside
    # u - inside is harmonic in the hole: smooth, so a coarse solution is a good start for a large one.
    offset = (outside - inside).detach().double().cpu().numpy()
    membrane = _membrane(offset, known[0].cpu().numpy(), direct)
    return (inside.detach().double().cpu() + torch.from_numpy(membrane)).clamp(-1, 1).to(inside)


def _membrane(values: Array, known: Array, direct: int) -> Array:
    """Continue `(C, H, W)` from the known places into the others, harmonically."""
    unknown = int((~known).sum())
    if not unknown:
        return values
    laplacian, given = _system(values, known)
    if unknown <= direct:
        # Symmetric mode and this ordering: a third of the time and memory of the default on a grid.
        factors = linalg.splu(
            laplacian.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        solved = factors.solve(np.ascontiguousarray(given.T)).T
    else:
        start = _coarse(values, known, direct)[:, ~known]
        solved = np.stack([_iterate(laplacian, b, x) for b, x in zip(given, start, strict=True)])
    filled = np.where(known, values, 0.0)
    filled[:, ~known] = solved
    return filled


def _system(values: Array, known: Array) -> tuple[sparse.csr_array, Array]:
    """Return the hole's Laplacian `(n, n)`, positive definite, and what its known neighbours add `(C, n)`."""
    height, width = known.shape
    number = np.full((height, width), -1)
    hole = ~known
    number[hole] = np.arange(hole.sum())
    n = int(hole.sum())
    degree, given = np.zeros(n), np.zeros((len(values), n))
    rows, columns = [], []
    for here, there in (
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        at = number[here][hole[here]]  # pixels of the hole that have this neighbour within the picture
        degree[at] += 1
        neighbour = number[there][hole[here]]
        edge = neighbour < 0
        given[:, at[edge]] += values[(slice(None), *there)][:, hole[here]][:, edge]
        rows.append(at[~edge])
        columns.append(neighbour[~edge])
    row, column = np.concatenate(rows), np.concatenate(columns)
    minus = sparse.csr_array((np.full(len(row), -1.0), (row, column)), shape=(n, n))
    return sparse.csr_array(minus + sparse.diags_array(degree)), given


def _coarse(values: Array, known: Array, direct: int) -> Array:
    """Return the solution at half the size, enlarged again: where iterations start."""
    height, width = known.shape
    pad = (0, height % 2), (0, width % 2)
    weight = np.pad(known.astype(float), pad)
    total = np.pad(np.where(known, values, 0.0), ((0, 0), *pad))
    share = _blocks_of_four(weight[None])[0]
    mean = _blocks_of_four(total) / np.maximum(share, 1)
    solved = torch.from_numpy(_membrane(mean, share > 0, direct))[None]
    large = torch.nn.functional.interpolate(solved, scale_factor=2, mode="bilinear", align_corners=False)
    enlarged: Array = large[0, :, :height, :width].numpy()
    return enlarged


def _blocks_of_four(values: Array) -> Array:
    count, height, width = values.shape
    sums: Array = values.reshape(count, height // 2, 2, width // 2, 2).sum(axis=(2, 4))
    return sums


def _iterate(laplacian: sparse.csr_array, given: Array, start: Array) -> Array:
    scale = sparse.diags_array(1 / laplacian.diagonal())
    size = float(np.sqrt(len(given)))
    solved: Array = linalg.cg(laplacian, given, start, rtol=0, atol=_TOLERANCE * size, M=scale)[0]
    return solved
