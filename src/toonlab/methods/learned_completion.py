"""The learned way to complete a latent: two small networks, milliseconds at use."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.completer import Completer
from toonlab.networks.layers import LatentGenerator


class Latents(NamedTuple):
    """A damaged photo on its way through the generator; `(B, C, h, w)` the latents.

    Attributes:
        refined: the photo as the encoder saw it, `(B, 3, H, W)`.
        start: its latent.
        completed: the latent to decode.
    """

    refined: Tensor
    start: Tensor
    completed: Tensor


class LearnedCompletion(nn.Module):
    """Corrects the first guess twice: as a picture before the encoder, as a latent behind it.

    Both corrections reach no further than what is missing, and both are 0 before training: it starts as
    "prefill, then cartoonize", bit by bit. The picture's is cheap to learn, since the generator has no part in
    it; the latent's knows what the generator will make of it.

    Args:
        generator: frozen, and not kept here.
        width: channels of both networks, see `Completer`.
    """

    spread: Tensor

    def __init__(self, generator: LatentGenerator, *, width: int) -> None:
        super().__init__()
        self.stride = stride = generator.multiple
        with torch.no_grad():
            channels = generator.encode(torch.zeros(1, 3, 8 * stride, 8 * stride)).shape[1]
        seen = 4 * stride**2  # colours and mask of a cell's pixels
        self.picture = Completer(inputs=seen, outputs=3 * stride**2, width=width)
        self.latent = Completer(inputs=channels + seen, outputs=channels, width=width)
        self.register_buffer("spread", torch.zeros(channels))

    def refine(self, prefilled: Tensor, known: Tensor) -> Tensor:
        """Improve the first guess `(B, 3, H, W)` where `known` `(B, 1, H, W)` is 0."""
        correction = F.pixel_shuffle(self.picture(self._cells(prefilled, known)), self.stride)
        return prefilled + (1 - known) * correction

    def measure(self, clean: Tensor) -> None:
        """Take the latents' unit, each channel's standard deviation, from the first clean ones it is shown."""
        if not self.spread.any():
            self.spread.copy_(clean.detach().float().std(dim=(0, 2, 3)).clamp(min=1e-3))

    def complete(self, start: Tensor, refined: Tensor, known: Tensor) -> Tensor:
        """Correct `start` `(B, C, h, w)` by the missing share of each cell."""
        unit = self.spread[:, None, None]
        seen = torch.cat([start / unit, self._cells(refined, known)], dim=1)
        missing = F.avg_pool2d(1 - known, self.stride)
        return start + missing * unit * self.latent(seen)

    def _cells(self, photos: Tensor, known: Tensor) -> Tensor:
        return F.pixel_unshuffle(torch.cat([photos, known], dim=1), self.stride)
