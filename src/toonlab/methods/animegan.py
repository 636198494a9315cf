"""AnimeGAN (Chen, Liu & Chen, ISICA 2019) and AnimeGANv2."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.terms import Terms
from toonlab.losses.adversarial import Adversarial
from toonlab.losses.perceptual import feature_distance, gram_distance
from toonlab.losses.pixel import colour_distance, total_variation
from toonlab.networks.frozen import Features
from toonlab.representations.texture import grey


class AnimeGAN(ToonMethod):
    """Texture from the cartoons without their colours, colours from the photo.

    Style compares Gram matrices with those of *grey* cartoons, and the discriminator takes grey cartoons for
    fakes, so that no cartoon's palette is copied; `smooth`, grey and edge-smoothed, makes it look at edges.
    v1 and v2 differ in their networks, `tv`, and numbers.

    Args:
        feature_gain: factor on the features before content and style; content grows with it, style with its
            square. It brings calibrated features to where the published weights of both belong.
        colour_gain: factor on `colour`, for feature networks that see less of it than VGG19 does.
    """

    extras: tuple[str, ...] = ("blurred",)

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        features: Features,
        feature_gain: float,
        colour_gain: float,
        adversarial: Adversarial,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.discriminator, self.features, self.adversarial = discriminator, features, adversarial
        self.feature_gain, self.colour_gain = feature_gain, colour_gain

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def render(self, batch: Images) -> Images:
        return {"cartoon": self.generator(batch["photo"])}

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        cartoon = views["cartoon"]
        described = cache(lambda: self._describe(cartoon))  # two terms look at it
        return {
            "adversarial": lambda: self.adversarial.fool(self.discriminator(cartoon)),
            "content": lambda: feature_distance(described(), self._target(batch["photo"])),
            "style": lambda: gram_distance(described(), self._target(grey(batch["cartoon"]))),
            "colour": lambda: self.colour_gain * colour_distance(cartoon, batch["photo"]),
            "tv": lambda: total_variation(cartoon),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            "real": lambda: self.adversarial.real(self.discriminator(batch["cartoon"]), self.rng("real")),
            "fake": lambda: self._unmask(views["cartoon"], "fake"),
            "grey": lambda: self._unmask(grey(batch["cartoon"]), "grey"),
            "smooth": lambda: self._unmask(grey(batch["blurred"]), "smooth"),
        }

    def _unmask(self, images: Tensor, what: str) -> Tensor:
        return self.adversarial.fake(self.discriminator(images), self.rng(what))

    def _describe(self, images: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.features(images)
        return {tap: self.feature_gain * activations for tap, activations in found.items()}

    @torch.no_grad()
    def _target(self, images: Tensor) -> dict[str, Tensor]:
        return self._describe(images)
