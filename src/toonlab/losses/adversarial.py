"""Adversarial objectives as three questions: is it real, is it fake, would it fool?

Each takes raw scores of any shape and returns a scalar per-element mean; labels are real 1, fake 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab.errors import UsageError


class Adversarial(ABC):
    """Compare scores with labels.

    Args:
        soft: width of soft labels, for the discriminator only: reals are drawn from (1 - soft, 1), fakes
            from (0, soft), one draw a sample, the same for all its patches. 0 gives hard labels.
        one_sided: soft reals only; fakes are 0 (Salimans et al. 2016, section 3.4).

    Raises:
        UsageError: labels as soft as that may be each other's.
    """

    def __init__(self, *, soft: float = 0.0, one_sided: bool = False) -> None:
        if not 0 <= soft < 0.5:
            raise UsageError(
                f"method.adversarial.soft={soft}: from 0 (hard labels) to below 0.5, 0.1 for instance"
            )
        self.soft, self.one_sided = soft, one_sided

    @abstractmethod
    def compare(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores against labels in [0, 1] of the same shape."""

    def real(self, scores: Tensor, rng: torch.Generator) -> Tensor:
        """Low when the discriminator calls real images real."""
        return self.compare(scores, 1 - self._blur(scores, rng))

    def fake(self, scores: Tensor, rng: torch.Generator) -> Tensor:
        """Low when the discriminator calls fakes fake."""
        blur = torch.zeros_like(scores) if self.one_sided else self._blur(scores, rng)
        return self.compare(scores, blur)

    def fool(self, scores: Tensor) -> Tensor:
        """Low when the discriminator calls the generator's images real; always against hard labels."""
        return self.compare(scores, torch.ones_like(scores))

    def _blur(self, scores: Tensor, rng: torch.Generator) -> Tensor:
        if not self.soft:
            return torch.zeros_like(scores)
        draw = torch.rand(len(scores), generator=rng, device=rng.device).to(scores)
        return (self.soft * draw).reshape(-1, *[1] * (scores.ndim - 1)).expand_as(scores)


class LeastSquares(Adversarial):
    """LSGAN, Mao et al. 2017: squared distance of the score to its label."""

    def compare(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(scores, labels)


class CrossEntropy(Adversarial):
    """The log-GAN on logits; `fool` is the non-saturating -log D(fake)."""

    def compare(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, labels)


def score_match(real: Tensor, fake: Tensor) -> Tensor:
    """Mean |real - fake| of two equal score maps, `real` as it is: GP-GAN's loss in source 004's eq. 6."""
    return (fake - real.detach()).abs().mean()
