"""Cartoons of damaged photos, completed in the latent of a frozen, trained generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab import keyed
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.terms import Terms
from toonlab.errors import UsageError
from toonlab.losses.adversarial import Adversarial
from toonlab.losses.hole import hole_feature_distance, hole_mean
from toonlab.methods.learned_completion import Latents, LearnedCompletion
from toonlab.networks.frozen import Features
from toonlab.networks.layers import LatentGenerator
from toonlab.representations.inpainting.draws import HoleDraws, solid
from toonlab.representations.inpainting.holes import KINDS, hole
from toonlab.representations.inpainting.prefill import prefill


class LatentInpainting(ToonMethod):
    """Learns to complete latents.

    The generator is another run's, frozen; what learns is `completion` (see `LearnedCompletion`), on random
    holes in whole photos. Only the clean photo's latent and cartoon are its teachers; the data's cartoons are
    not looked at. The warm-up trains the picture's correction alone, which needs no generator; then the
    latent's joins in, with the discriminator, to whom cartoons of whole photos are real.

    Args:
        needs_ckpt: tells the command that `generator` comes with weights.
        learned: makes the completion from the generator.
        discriminator: judges cartoons.
        masks: draws the holes to train on.
        prefills: first guesses, one drawn for each batch; the first is the one for use.
        solid: see `draws.solid`; the cartoon outside the hole is kept where the photo is known so widely.
    """

    def __init__(
        self,
        *,
        learned: Callable[[LatentGenerator], LearnedCompletion],
        discriminator: nn.Module,
        features: Features,
        adversarial: Adversarial,
        masks: HoleDraws,
        prefills: Sequence[str],
        solid: int,
        needs_ckpt: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        generator = self.generator
        if not (hasattr(generator, "encode") and hasattr(generator, "decode")):
            raise UsageError(
                f"{type(generator).__name__} has no latent to complete: name a checkpoint of cartoongan, cyclegan or "
                "animegan with ckpt=…"
            )
        self.generator.requires_grad_(False)
        self.completion = learned(cast("LatentGenerator", generator))
        self.discriminator, self.features, self.adversarial = discriminator, features, adversarial
        self.masks, self.prefills, self.solid = masks, list(prefills), solid
        self._clean_of: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def painter(self) -> LatentGenerator:
        """The frozen generator."""
        return cast("LatentGenerator", self.generator)

    def generators(self) -> list[nn.Module]:
        return [self.completion]

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def render(self, batch: Images) -> Images:
        photo, rng = batch["photo"], self.rng("holes")
        known = torch.stack([self.masks(*photo.shape[2:], rng) for _ in photo]).to(photo)
        how = self.prefills[int(torch.randint(len(self.prefills), (1,), generator=rng, device=rng.device))]
        refined = self.completion.refine(prefill(photo, known, how), known)
        views = {"known": known, "refined": refined}
        if self.warming_up:
            return views
        with torch.no_grad():  # the picture's correction has its own terms; the encoder costs most of all
            start = self.painter.encode(refined)
        self.completion.measure(self._clean(photo)[0])
        latent = self.completion.complete(start, refined.detach(), known)
        return {**views, "latent": latent, "cartoon": self.painter.decode(latent)}

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        photo, known = batch["photo"], views["known"]
        missing = 1 - known

        @cache
        def clean() -> tuple[Tensor, Tensor]:
            return self._clean(photo)

        def latent() -> Tensor:
            distance = (views["latent"] - clean()[0]).abs() / self.completion.spread[:, None, None]
            return hole_mean(distance, F.avg_pool2d(missing, self.completion.stride))

        return {
            "photo": lambda: hole_mean((views["refined"] - photo).abs(), missing),
            "photo_content": lambda: self._looks(views["refined"], photo, missing),
            "latent": latent,
            "pixel": lambda: hole_mean((views["cartoon"] - clean()[1]).abs(), missing),
            "content": lambda: self._looks(views["cartoon"], clean()[1], missing),
            "adversarial": lambda: self.adversarial.fool(self.discriminator(views["cartoon"])),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        judge = self.discriminator
        return {
            "real": lambda: self.adversarial.real(judge(self._clean(batch["photo"])[1]), self.rng("real")),
            "fake": lambda: self.adversarial.fake(judge(views["cartoon"]), self.rng("fake")),
        }

    def _clean(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return latent and cartoon of whole photos; asked again for the same ones, the same."""
        if self._clean_of is None or self._clean_of[0] is not photo:
            latent = self.painter.encode(photo)
            self._clean_of = photo, latent, self.painter.decode(latent)
        return self._clean_of[1:]

    def _looks(self, ours: Tensor, theirs: Tensor, missing: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(theirs)
        return hole_feature_distance(self.features(ours), wanted, missing)
