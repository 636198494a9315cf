"""Texture without colour or brightness: a random mix of the channels (White-box, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class ColourShift:
    """Map `(B, 3, H, W)` to `(B, 1, H, W)` by one random, normalised weight triple for the whole batch.

    The authors' code: weights uniform around luma's, divided by their sum, so that the result stays in
    [-1, 1]. The paper's form (a luma mix plus weights in [-1, 1]) is not the same thing, whatever the
    repository says: its weights may be negative.

    Args:
        red: bounds of the red weight; likewise `green`, `blue`.
    """

    def __init__(
        self,
        *,
        red: Sequence[float] = (0.199, 0.399),
        green: Sequence[float] = (0.487, 0.687),
        blue: Sequence[float] = (0.014, 0.214),
    ) -> None:
        bounds = torch.tensor([list(red), list(green), list(blue)])
        self.low, self.high = bounds[:, 0], bounds[:, 1]

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Generators with equal keys give fakes and reals the same mix, which the comparison needs."""
        draw = torch.rand(3, generator=rng, device=rng.device).to(images)
        low, high = self.low.to(images), self.high.to(images)
        weights = low + (high - low) * draw
        return torch.einsum("bchw,c->bhw", images, weights / weights.sum()).unsqueeze(1)
