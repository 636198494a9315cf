"""The learned way to complete a latent: two small networks, milliseconds at use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from toonlab.engine.terms import Terms
from toonlab.losses.hole import hole_feature_distance, hole_l1
from toonlab.networks.completer import Completer
from toonlab.networks.frozen import Features
from toonlab.networks.layers import LatentGenerator, latent_channels
from toonlab.representations.inpainting.biharmonic import depth


class LearnedCompletion(nn.Module):
    """Corrects the first guess twice: as a picture before the encoder, as a latent behind it.

    Both corrections reach no further than what is missing, and both are 0 before training: it starts as
    "prefill, then cartoonize", bit by bit. The picture's is cheap to learn, since the generator has no part
    in it; the latent's knows what the generator will make of it.

    Args:
        generator: frozen, and not kept here.
        picture: of the first network, see `Completer`; and `stride`, pixels to a side of its cells.
        latent: of the second, whose cells are the latent's.
        deep: pixels from what is known at which a correction counts in full; nearer, a guess is good.
    """

    spread: Tensor

    def __init__(
        self,
        generator: LatentGenerator,
        *,
        picture: Mapping[str, int],
        latent: Mapping[str, int],
        deep: float,
    ) -> None:
        super().__init__()
        self.stride, self.deep = generator.multiple, deep
        stride, channels = self.stride, latent_channels(generator)
        sizes = dict(picture)
        self.fine = sizes.pop("stride")
        # A cell shows the colours and the mask of its pixels.
        self.picture = Completer(inputs=4 * self.fine**2, outputs=3 * self.fine**2, **sizes)
        self.latent = Completer(inputs=channels + 4 * stride**2, outputs=channels, **latent)
        self.register_buffer("spread", torch.zeros(channels))

    def refine(self, prefilled: Tensor, known: Tensor) -> Tensor:
        """Improve the first guess `(B, 3, H, W)` where `known` `(B, 1, H, W)` is 0."""
        correction: Tensor = F.pixel_shuffle(self.picture(_cells(prefilled, known, self.fine)), self.fine)
        return prefilled + self._doubt(known) * correction

    def measure(self, clean: Tensor) -> None:
        """Take the latents' unit, each channel's standard deviation, from the first clean ones.

        Processes that train together agree on the mean of theirs: with manual optimisation DDP copies no
        buffers, and a network would be fed in other units on each.
        """
        if self.spread.any():
            return
        spread = clean.detach().float().std(dim=(0, 2, 3)).clamp(min=1e-3)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(spread)
            spread /= distributed.get_world_size()
        self.spread.copy_(spread)

    @property
    def unit(self) -> Tensor:
        """The spread as `(C, 1, 1)`; 1 until it has been measured, which is after the warm-up."""
        return torch.where(self.spread > 0, self.spread, torch.ones_like(self.spread))[:, None, None]

    def complete(self, start: Tensor, refined: Tensor, known: Tensor) -> Tensor:
        """Correct `start` `(B, C, h, w)` by the missing share of each cell."""
        seen = torch.cat([start / self.unit, _cells(refined, known, self.stride)], dim=1)
        missing = F.avg_pool2d(self._doubt(known), self.stride)
        completed: Tensor = start + missing * self.unit * self.latent(seen)
        return completed

    def terms(
        self,
        photo: Tensor,
        clean: Callable[[], tuple[Tensor, Tensor]],
        views: Mapping[str, Tensor],
        features: Features,
        fool: Callable[[Tensor], Callable[[], Tensor]],
    ) -> Terms:
        """Return the loss of a corrected picture, latent and cartoon by term, in the hole alone.

        Args:
            photo: whole, `(B, 3, H, W)`: what the picture should be.
            clean: makes its latent and its cartoon, which the others should be; in the warm-up nobody asks.
            views: `known`, `refined`, and behind the warm-up `latent` and `cartoon`.
            features: whose directions `photo_content` and `content` compare.
            fool: makes the adversarial term of a cartoon.
        """
        missing, unit = 1 - views["known"], self.unit
        cells = F.avg_pool2d(missing, self.stride)

        def looks(ours: Tensor, wanted: Tensor) -> Tensor:
            with torch.no_grad():
                directions = features(wanted)
            return hole_feature_distance(features(ours), directions, missing).mean()

        return {
            "photo": lambda: hole_l1(views["refined"], photo, missing).mean(),
            "photo_content": lambda: looks(views["refined"], photo),
            "latent": lambda: hole_l1(views["latent"] / unit, clean()[0] / unit, cells).mean(),
            "pixel": lambda: hole_l1(views["cartoon"], clean()[1], missing).mean(),
            "content": lambda: looks(views["cartoon"], clean()[1]),
            "adversarial": lambda: fool(views["cartoon"])(),
        }

    def _doubt(self, known: Tensor) -> Tensor:
        """Return how much of a correction a pixel gets: 0 if known, 1 from `deep` pixels inside the hole."""
        distances = [torch.from_numpy(depth(mask[0].cpu().numpy() > 0.5)) for mask in known]
        return (torch.stack(distances)[:, None].to(known) / self.deep).clamp(max=1)


def _cells(photos: Tensor, known: Tensor, stride: int) -> Tensor:
    return F.pixel_unshuffle(torch.cat([photos, known], dim=1), stride)
