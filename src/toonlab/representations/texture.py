"""Texture without colour or brightness: a random mix of the channels (White-box, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""BT.601's weights of red, green and blue."""

Texture = Callable[[Tensor, torch.Generator], Tensor]
"""What either class is: `(B, 3, H, W)` and a generator in, `(B, 1, H, W)` out."""


class ColourShift:
    """Map `(B, 3, H, W)` to `(B, 1, H, W)` by one random, normalised weight triple for the whole batch.

    The authors' code: weights uniform around luma's, divided by their sum, so that the result stays in
    [-1, 1]. The paper's form, `LumaShift`, is not the same thing, whatever the repository says.

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
        return _mix(images, weights / weights.sum())


class LumaShift:
    """Map `(B, 3, H, W)` to `(B, 1, H, W)` by `(1-l)(β₁R + β₂G + β₃B) + lY`, β uniform in [-1, 1].

    The paper's equation, l its alpha; one draw for the whole batch. Nothing is normalised: the weights sum
    to `l + (1-l)(β₁+β₂+β₃)`, and blue's may be negative. Of images in [-1, 1] the result is within
    `±(l + 3(1-l))`, ±1.4 by default; of grey ones it is the grey times that sum, 0.2 to 1.4.

    Args:
        luma: l, in [0, 1]; the share of the luma Y, which is the same in every draw.

    Raises:
        ValueError: luma outside [0, 1].
    """

    def __init__(self, *, luma: float = 0.8) -> None:
        if not 0 <= luma <= 1:
            raise ValueError(f"LumaShift needs luma in [0, 1], got {luma}")
        self.luma = luma

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Generators with equal keys give fakes and reals the same mix, which the comparison needs."""
        draw = torch.rand(3, generator=rng, device=rng.device).to(images) * 2 - 1
        return _mix(images, (1 - self.luma) * draw + self.luma * torch.tensor(LUMA).to(images))


def grey(images: Tensor) -> Tensor:
    """Luma of `(B, 3, H, W)` in three equal channels, for networks that take RGB."""
    return _mix(images, torch.tensor(LUMA).to(images)).expand_as(images)


def _mix(images: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("bchw,c->bhw", images, weights).unsqueeze(1)
