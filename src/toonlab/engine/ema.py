"""An exponential moving average of a network."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema(nn.Module):
    """A smoothed copy that follows a network.

    Args:
        network: what to follow.
        half_life: iterations until half of the old weights is gone.
        ramp: the half-life is at most this share of the iterations so far (EDM's ramp-up), so that a
            short run's average is not mostly its random start.
    """

    def __init__(self, network: nn.Module, *, half_life: float, ramp: float) -> None:
        super().__init__()
        self.half_life, self.ramp = half_life, ramp
        self.average = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        """Move towards `network`; `iteration` counts from 1."""
        half_life = min(self.half_life, self.ramp * iteration)
        step = 1 - 0.5 ** (1 / half_life)
        for ours, theirs in zip(self.average.parameters(), network.parameters(), strict=True):
            ours.lerp_(theirs, step)
        for kept, current in zip(self.average.buffers(), network.buffers(), strict=True):
            kept.copy_(current)

    def forward(self, photo: Tensor, *domain: str) -> Tensor:
        cartoon: Tensor = self.average(photo, *domain)
        return cartoon
