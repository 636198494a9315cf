"""What all ways of completing a cartoon share: a frozen generator, the blend, the choice, the validation."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from toonlab import keyed
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError
from toonlab.losses.adversarial import Adversarial
from toonlab.losses.hole import hole_mean
from toonlab.networks.layers import LatentGenerator, has_latent
from toonlab.representations.inpainting.blend import poisson
from toonlab.representations.inpainting.completion import Completion, OnStep
from toonlab.representations.inpainting.draws import solid
from toonlab.representations.inpainting.holes import KINDS, hole
from toonlab.representations.inpainting.latent_mask import context_weights


class Guess(NamedTuple):
    """A cartoon to take the hole from, and one to take the rest from; `(B, 3, H, W)` both."""

    inside: Tensor
    outside: Tensor


class Completing(ToonMethod):
    """Completes cartoons of damaged photos with a generator that stands still.

    Args:
        discriminator: judges cartoons; has a say in the choice once it has been trained.
        window: pixels around a known one whose missing share is its weight in the choice; odd.
        solid: see `draws.solid`; the cartoon outside the hole is kept where the photo is known so widely.
        prior: weight of the discriminator in the choice between candidates.
    """

    completes = True
    monitor = "val/hole_lpips_effnetlite0"

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        adversarial: Adversarial,
        window: int,
        solid: int,
        prior: float,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not has_latent(self.generator):
            raise UsageError(
                f"ckpt: {type(self.generator).__name__} has no latent to complete; CartoonGAN's, "
                "CycleGAN's and AnimeGAN's generators have one, without learn_residual"
            )
        self.generator.requires_grad_(False)
        self.discriminator, self.adversarial = discriminator, adversarial
        self.window, self.solid, self.prior = window, solid, prior
        self.judged = True
        """Whether the discriminator has been trained: around imported weights it has not."""

    @property
    def painter(self) -> LatentGenerator:
        """The frozen generator."""
        return cast("LatentGenerator", self.generator)

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def guesses(self, photos: Tensor, known: Tensor, count: int, on_step: OnStep | None) -> list[Guess]:
        """Return at most `count` candidates."""
        raise NotImplementedError

    def complete(
        self, photos: Tensor, known: Tensor, *, candidates: int, on_step: OnStep | None = None
    ) -> Completion:
        """Cartoonize damaged photos `(B, 3, H, W)`, H and W multiples of the generator's.

        What the photos hold in the hole is not looked at. A whole photo becomes its plain cartoon.

        Args:
            photos: in [-1, 1].
            known: `(B, 1, H, W)`, 1 = known, 0 = missing.
            candidates: how many to choose from; a way may know fewer.
            on_step: told of progress.

        Raises:
            UsageError: nothing is known of a photo.
        """
        if not known.flatten(1).any(dim=1).all():
            raise UsageError("the mask covers the whole photo: nothing is left to go by")
        guesses = self.guesses(photos, known, candidates, on_step)
        trusted = solid(known, self.solid)
        # No square lies in scattered pixels: then the hole is everywhere, the inside the whole cartoon.
        blended = [poisson(each.inside, each.outside, trusted).clamp(-1, 1) for each in guesses]
        scores = torch.stack([self._score(each, known) for each in guesses], dim=1)
        pictures = torch.stack(blended, dim=1)
        best = scores.argmin(dim=1)
        return Completion(pictures[torch.arange(len(photos)), best], pictures, scores)

    @torch.no_grad()
    def _score(self, guess: Guess, known: Tensor) -> Tensor:
        weights = context_weights(known, self.window)
        pairs = zip(guess.inside, guess.outside, weights, strict=True)
        context = torch.stack([hole_mean((a - b).abs()[None], w[None]) for a, b, w in pairs])
        if not (self.judged and self.prior):
            return context
        fooled = [self.adversarial.fool(scores) for scores in self.discriminator(guess.inside)]
        return context + self.prior * torch.stack(fooled)

    # Validation -------------------------------------------------------------

    def validation_holes(self, photos: Tensor, first: int) -> Tensor:
        """Return known-masks for photos numbered from `first`: each kind in turn, the same always."""
        height, width = photos.shape[2:]
        # Not drawn by the run's seed: runs with different ones are compared on the same holes.
        masks = [
            hole(KINDS[n % len(KINDS)], height, width, keyed.generator(0, "validation", n))
            for n in range(first, first + len(photos))
        ]
        return torch.stack(masks).to(photos)

    def completed(self, photos: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Damage photos numbered from `first`; return their completions, clean cartoons and known-masks."""
        known = self.validation_holes(photos, first)
        result = self.complete(photos, known, candidates=1).result
        return result, self(photos), known

    def panel(self, photos: Tensor, first: int) -> dict[str, Tensor]:
        result, clean, known = self.completed(photos, first)
        return {"photo": photos, "masked": photos * known, "result": result, "clean cartoon": clean}
