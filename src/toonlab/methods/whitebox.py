"""White-box cartoonization (Wang & Yu, CVPR 2020)."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.terms import Terms
from toonlab.losses.adversarial import Adversarial
from toonlab.losses.perceptual import feature_distance
from toonlab.losses.pixel import chroma_distance, total_variation
from toonlab.networks.frozen import Features
from toonlab.representations.structure import Structure
from toonlab.representations.surface import Surface, guided_filter
from toonlab.representations.texture import Texture


class OutputFilter(NamedTuple):
    """The guided filter that conditions the output on its photo.

    Args:
        radius: pixels; 0 leaves the filter out. A line that the photo does not have cannot pass it.
        eps: in training; variance on the [-1, 1] scale, as is `painting_eps`.
        painting_eps: when a picture is painted; the authors use half of training's.
    """

    radius: int
    eps: float
    painting_eps: float


class WhiteBox(ToonMethod):
    """Three representations of the output, each with its own loss (section 3).

    The generator's output is filtered with its photo as the guide before any loss sees it, except for the
    warm-up's `reconstruction` (the authors' pixel pre-training). `structure` compares the output with its
    own superpixels: a target without gradient. `colour` is ours: the L1 distance of the output's surface
    from the photo's, which keeps local colours where a feature network that hardly sees them lets them drift;
    `chroma`, ours as well, holds their hue and leaves light and dark to the style.
    """

    def __init__(
        self,
        *,
        d_surface: nn.Module,
        d_texture: nn.Module,
        surface: Surface,
        texture: Texture,
        structure: Structure,
        output_filter: OutputFilter,
        features: Features,
        adversarial: Adversarial,
        **common: Any,
    ) -> None:
        common["weights"] = {"chroma": 0.0, **common["weights"]}  # a run that was begun before it goes on
        super().__init__(**common)
        self.d_surface, self.d_texture = d_surface, d_texture
        self.surface, self.texture, self.structure = surface, texture, structure
        self.output_filter, self.features, self.adversarial = output_filter, features, adversarial

    def discriminators(self) -> list[nn.Module]:
        return [self.d_surface, self.d_texture]

    def render(self, batch: Images) -> Images:
        raw = self.generator(batch["photo"])
        return {"raw": raw, "cartoon": self._filtered(batch["photo"], raw, self.output_filter.eps)}

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        cartoon = views["cartoon"]
        described = cache(lambda: self.features(cartoon))  # two terms look at it, and at this:
        surface = cache(lambda: self.surface(cartoon))
        own = cache(lambda: self.surface(batch["photo"]))
        return {
            "surface": lambda: self.adversarial.fool(self.d_surface(surface())),
            "texture": lambda: self.adversarial.fool(self.d_texture(self._texture(cartoon))),
            "structure": lambda: feature_distance(described(), self._target(self.structure(cartoon))),
            "content": lambda: feature_distance(described(), self._target(batch["photo"])),
            "tv": lambda: total_variation(cartoon),
            "reconstruction": lambda: F.l1_loss(views["raw"], batch["photo"]),
            "colour": lambda: F.l1_loss(surface(), own()),
            "chroma": lambda: chroma_distance(surface(), own()),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            "surface": lambda: self._judge(
                self.d_surface, self.surface(batch["cartoon"]), self.surface(views["cartoon"]), "surface"
            ),
            "texture": lambda: self._judge(
                self.d_texture, self._texture(batch["cartoon"]), self._texture(views["cartoon"]), "texture"
            ),
        }

    def finish(self, photo: Tensor, painted: Tensor) -> Tensor:
        return self._filtered(photo, painted, self.output_filter.painting_eps)

    def painting(self) -> dict[str, Any]:
        radius, _, eps = self.output_filter
        return {"output_filter": {"radius": radius, "eps": eps}} if radius else {}

    def _filtered(self, photo: Tensor, painted: Tensor, eps: float) -> Tensor:
        radius = self.output_filter.radius
        return guided_filter(photo, painted, radius, eps) if radius else painted

    def _texture(self, images: Tensor) -> Tensor:
        # Equal keys, equal draws: the authors shift fake and real by the same weights.
        return self.texture(images, self.rng("texture"))

    @torch.no_grad()
    def _target(self, images: Tensor) -> dict[str, Tensor]:
        wanted: dict[str, Tensor] = self.features(images)
        return wanted

    def _judge(self, judge: nn.Module, real: Tensor, fake: Tensor, what: str) -> Tensor:
        return self.adversarial.real(judge(real), self.rng(f"real-{what}")) + self.adversarial.fake(
            judge(fake), self.rng(f"fake-{what}")
        )
