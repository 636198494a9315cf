"""A discriminator on a frozen network's features (Sauer et al., Projected GANs Converge Faster, 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from toonlab.networks.layers import leaky


class FeatureJudges(nn.Module):
    """A small judge for each tap: `{tap: (B, C, h, w)}` to `(B, taps, h', w')`, h' and w' of the coarsest.

    Args:
        channels: of each tap.
        width: of the layer between.
    """

    def __init__(self, *, channels: Mapping[str, int], width: int = 64) -> None:
        super().__init__()
        self.judges = nn.ModuleDict(
            {
                tap: nn.Sequential(
                    spectral_norm(nn.Conv2d(count, width, 3, padding=1)),
                    leaky(),
                    spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                    leaky(),
                    spectral_norm(nn.Conv2d(width, 1, 1)),
                )
                for tap, count in channels.items()
            }
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        scores = [judge(features[tap]) for tap, judge in self.judges.items()]
        coarsest = min((score.shape[-2:] for score in scores), key=tuple)
        return torch.cat([F.adaptive_avg_pool2d(score, coarsest) for score in scores], dim=1)
