"""CartoonGAN (Chen, Lai, Liu, CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.terms import Terms
from toonlab.errors import check_choice
from toonlab.losses.adversarial import Adversarial
from toonlab.losses.perceptual import feature_distance
from toonlab.methods.drawn import flow_terms, wants_drawn
from toonlab.networks.frozen import Features
from toonlab.representations.surface import Surface


class CartoonGAN(ToonMethod):
    """Adversarial loss that wants clear edges, and content from a frozen network.

    The discriminator sees cartoons as real, and both painted photos and edge-smoothed cartoons as fake
    (eq. 3); the smoothed ones come from the same crop as their cartoon. `colour` is ours: the L1 distance of
    the output's surface from the photo's.

    Args:
        init: what the warm-up teaches; a key of `init_weights`. `content` reproduces the photo (section 3.3);
            `flow` draws it as flow-based abstraction does (`flow_pixel` L1, `flow_content`), and reads the
            view `drawn` for it; `none` has no warm-up.
        init_weights: the warm-up's weights for each `init`.
    """

    extras: tuple[str, ...] = ("blurred",)

    def __init__(
        self,
        *,
        init: str,
        init_weights: Mapping[str, Mapping[str, float]],
        discriminator: nn.Module,
        features: Features,
        adversarial: Adversarial,
        surface: Surface,
        **common: Any,
    ) -> None:
        check_choice("method.init", init, init_weights)
        common["warmup_weights"] = init_weights[init]
        super().__init__(**common)
        if not init_weights[init]:
            self.warmup_iterations = 0
        if wants_drawn(init_weights[init]):
            self.extras = (*self.extras, "drawn")
        self.discriminator, self.features, self.adversarial = discriminator, features, adversarial
        self.surface = surface

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def render(self, batch: Images) -> Images:
        return {"cartoon": self.paint(batch)}

    def paint(self, batch: Images) -> Tensor:
        """Return a batch's photos as cartoons."""
        cartoon: Tensor = self.generator(batch["photo"])
        return cartoon

    def judge(self, images: Tensor, batch: Images) -> Tensor:
        """Return the discriminator's scores of `images`, which belong to `batch`."""
        scores: Tensor = self.discriminator(images)
        return scores

    def fakes(self, batch: Images, views: Images) -> Tensor:
        """Return the painted images that the discriminator learns from."""
        return views["cartoon"]

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            "adversarial": lambda: self.adversarial.fool(self.judge(views["cartoon"], batch)),
            "content": lambda: feature_distance(
                self.features(views["cartoon"]), self._target(batch["photo"])
            ),
            **flow_terms(views["cartoon"], batch, self.features, self._target),
            "colour": lambda: F.l1_loss(self.surface(views["cartoon"]), self.surface(batch["photo"])),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            "real": lambda: self.adversarial.real(self.judge(batch["cartoon"], batch), self.rng("real")),
            "fake": lambda: self.adversarial.fake(
                self.judge(self.fakes(batch, views), batch), self.rng("fake")
            ),
            "blurred": lambda: self.adversarial.fake(
                self.judge(batch["blurred"], batch), self.rng("blurred")
            ),
        }

    @torch.no_grad()
    def _target(self, photo: Tensor) -> dict[str, Tensor]:
        wanted: dict[str, Tensor] = self.features(photo)
        return wanted
