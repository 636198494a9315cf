"""Latents of clean photos, searched for those that agree with what is known of a damaged one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab.representations.inpainting.pooled import PooledIndex, pool

Array = np.ndarray[Any, np.dtype[Any]]

_AT_A_TIME = 8  # maps that a distance looks at: 32 MB in float32 at 256 pixels


class LatentBank:
    """Full latent maps, memory-mapped, and a pooled vector of each.

    `build.open_bank` makes one from photos and keeps it on disk.

    Args:
        maps: `(n, C, h, w)`, fp16; a memory map or an array.
        pooled: `(n, parts, C + 1)`, see `pooled.pool`.
        channel_std: `(C,)`, over all places of all maps.
        photos: whose latents these are.
        exact_up_to: maps; a larger bank is first searched through a vector index over the pooled vectors.
        shortlist: maps that the index hands on to the exact distance.
    """

    def __init__(
        self,
        *,
        maps: Array,
        pooled: Array,
        channel_std: Tensor,
        photos: Sequence[str] = (),
        exact_up_to: int = 2000,
        shortlist: int = 50,
    ) -> None:
        self._maps, self._pooled, self._std = maps, pooled, channel_std
        self.photos = list(photos)
        self.exact_up_to, self.shortlist = exact_up_to, shortlist
        self._index: PooledIndex | None = None

    @classmethod
    def of(cls, latents: Tensor, **options: Any) -> LatentBank:
        """Make a bank of `(n, C, h, w)` in memory; for options see the constructor."""
        maps = to_half(latents)
        return cls(maps=maps, pooled=pool_all(maps), channel_std=deviation(maps), **options)

    def __len__(self) -> int:
        return len(self._maps)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a map."""
        channels, height, width = self._maps.shape[1:]
        return channels, height, width

    def channel_std(self) -> Tensor:
        """Return each channel's standard deviation over the bank, `(C,)`: a latent's own unit."""
        return self._std.clone()

    def maps(self, indices: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return full maps `(n, C, h, w)` in fp32 for `n` indices; of another size, bilinearly resized."""
        chosen = torch.from_numpy(np.stack([self._maps[int(i)] for i in indices.flatten()])).float()
        if size and size != chosen.shape[-2:]:
            chosen = F.interpolate(chosen, size=size, mode="bilinear", align_corners=False)
        return chosen.to(indices.device)

    def nearest(self, latent: Tensor, known_cells: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Find the bank's maps that agree best with a latent where it is known.

        The distance is ‖M·(z_j - z)‖² / ΣM: over known cells, a sum over channels and a mean over places.
        Latents of another size than the bank's are area-pooled (or resized up) to it, cells with them; a
        cell known in part then counts in part. With no cell known, all count: the prefilled photo's latent
        is then all there is to go by.

        Args:
            latent: `(B, C, h, w)`.
            known_cells: `(B, 1, h, w)`, 1 = known.
            k: how many; at most the bank's length.

        Returns:
            Distances `(B, k)`, ascending, and indices `(B, k)`.

        Raises:
            ValueError: the latent's channels are not the bank's, or `k` is out of range.
        """
        if latent.shape[1] != self._maps.shape[1] or not 1 <= k <= len(self):
            raise ValueError(
                f"a bank of {len(self)} maps {self.shape}: asked for {k} near {tuple(latent.shape[1:])}"
            )
        found = [self._nearest(z, m, k) for z, m in zip(latent.detach(), known_cells, strict=True)]
        distances, indices = (torch.stack(each).to(latent.device) for each in zip(*found, strict=True))
        return distances, indices

    def _nearest(self, latent: Tensor, known: Tensor, k: int) -> tuple[Tensor, Tensor]:
        latent, known = latent.float().cpu(), known.float().cpu()
        if latent.shape[-2:] != self._maps.shape[-2:]:
            size = self._maps.shape[-2:]
            share = F.interpolate(known[None], size=size, mode="area")[0]
            weighed = F.interpolate((latent * known)[None], size=size, mode="area")[0]
            whole = F.interpolate(latent[None], size=size, mode="area")[0]
            latent, known = torch.where(share > 0, weighed / share.clamp(min=1e-12), whole), share
        if not known.any():
            known = torch.ones_like(known)
        candidates = self._candidates(latent, known, k)
        distances = self._distances(latent, known, candidates)
        best, order = torch.sort(distances, stable=True)
        return best[:k], torch.from_numpy(candidates)[order[:k]]

    def _candidates(self, latent: Tensor, known: Tensor, k: int) -> Array:
        if len(self) <= self.exact_up_to:
            return np.arange(len(self))
        if self._index is None:
            self._index = PooledIndex(self._pooled)
        return np.sort(self._index.search(latent, known, max(k, self.shortlist)))

    def _distances(self, latent: Tensor, known: Tensor, candidates: Array) -> Tensor:
        # Only the places that count: a small known part then costs little.
        where = known[0] > 0
        weight, ours = known[0][where], latent[:, where]
        places = where.numpy()
        found = []
        for start in range(0, len(candidates), _AT_A_TIME):
            few = np.stack([self._maps[i] for i in candidates[start : start + _AT_A_TIME]])
            theirs = torch.from_numpy(few[..., places]).float()
            found.append(((theirs - ours).square().sum(dim=1) * weight).sum(dim=1))
        return torch.cat(found) / weight.sum()


def to_half(latents: Tensor) -> Array:
    """Return fp16; values beyond its range are clipped to it."""
    top = torch.finfo(torch.float16).max
    half: Array = latents.detach().float().clamp(-top, top).half().cpu().numpy()
    return half


def pool_all(maps: Array) -> Array:
    """Return the pooled parts of each map, `(n, parts, C + 1)` fp32."""
    return np.stack([pool(torch.from_numpy(np.array(each)).float()) for each in maps])


def deviation(maps: Array) -> Tensor:
    """Return each channel's standard deviation over all places of all maps, `(C,)`; never 0."""
    count, total, squares = 0, torch.zeros(maps.shape[1]).double(), torch.zeros(maps.shape[1]).double()
    for each in maps:
        values = torch.from_numpy(np.array(each)).double().flatten(1)
        count += values.shape[1]
        total, squares = total + values.sum(dim=1), squares + values.square().sum(dim=1)
    variance = (squares / count - (total / count).square()).clamp(min=0)
    return variance.sqrt().clamp(min=1e-6).float()
