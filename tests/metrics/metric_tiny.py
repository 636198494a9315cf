"""A seeded network in place of EfficientNet: two taps, of 6 and 8 channels, and a record of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toonlab.metrics.content import ContentDistance
from toonlab.metrics.features import MetricFeatures
from toonlab.metrics.suite import MetricSuite


class TinyNetwork(nn.Module):
    taps = ("low", "high")

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.low = nn.Conv2d(3, 6, 3, stride=2, padding=1)
            self.high = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(0.5)  # shows at once if the network is not in eval mode
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self.seen.append(images)
        low = self.low(images)
        return {"low": low, "high": self.dropout(self.high(low.relu()))}


def tiny_features(network: nn.Module | None = None) -> MetricFeatures:
    return MetricFeatures(network=network or TinyNetwork(), tap="high", input_size=32, name="tiny")


def tiny_content() -> ContentDistance:
    return ContentDistance(
        network=TinyNetwork(), name="tiny", input_size=32, edge_thresholds=[100, 200], edge_tolerance=2
    )


def tiny_suite(**changes: object) -> MetricSuite:
    arguments: dict[str, object] = {
        "features": tiny_features(),
        "content": tiny_content(),
        "monitor": "kid_tiny",
        "kid_subsets": 5,
        "kid_subset_size": 1000,
        "kid_degree": 3,
        "kid_coef": 1.0,
        "mmd_sigma": 1.0,
        "nn1_permutations": 99,
    }
    return MetricSuite(**{**arguments, **changes})  # type: ignore[arg-type]


def pictures(n: int, seed: int, shift: float = 0.0, size: int = 32) -> Tensor:
    """Smooth random images in [-1, 1]."""
    small = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6 + shift
    return nn.functional.interpolate(small, size=size, mode="bilinear").clamp(-1, 1)
