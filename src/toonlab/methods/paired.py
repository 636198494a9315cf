"""Source 004's GAN v1 and v2: one generator, one discriminator, no cycle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.engine.direction import domains
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.pool import ImagePool
from toonlab.engine.terms import Terms
from toonlab.losses.adversarial import Adversarial, score_match


class PairedGAN(ToonMethod):
    """One half of a CycleGAN: the same terms (see `CycleGAN`) in one direction.

    Args:
        direction: `to_cartoon` or `to_photo`.
        discriminator: judges the target domain.
        pool_size: images of the discriminator's history.
    """

    pair_terms = ("paired", "score_match")

    def __init__(
        self,
        *,
        direction: str,
        discriminator: nn.Module,
        adversarial: Adversarial,
        pool_size: int,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.direction, (self.source, self.target) = direction, domains(direction)
        self.discriminator, self.adversarial, self.pool = discriminator, adversarial, ImagePool(pool_size)

    def discriminators(self) -> list[nn.Module]:
        return [self.discriminator]

    def render(self, batch: Images) -> Images:
        return {"target": self.generator(batch[self.source])}

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        target, painted = batch[self.target], views["target"]
        return {
            "adversarial": lambda: self.adversarial.fool(self.discriminator(painted)),
            "paired": lambda: F.mse_loss(painted, target),
            "score_match": lambda: score_match(self._frozen(target), self.discriminator(painted)),
            "identity": lambda: F.mse_loss(self.generator(target), target),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        def judge() -> Tensor:
            fake = self.pool.query(views["target"], self.rng("pool", "cpu"))
            return self.adversarial.real(
                self.discriminator(batch[self.target]), self.rng("real")
            ) + self.adversarial.fake(self.discriminator(fake), self.rng("fake"))

        return {"target": judge}

    def painting(self) -> dict[str, Any]:
        return {"direction": self.direction}

    @torch.no_grad()
    def _frozen(self, images: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(images)
        return scores
