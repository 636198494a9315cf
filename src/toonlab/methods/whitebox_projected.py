"""White-box with one more judge, on a frozen network's features (Sauer et al., Projected GANs, 2021)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toonlab.engine.method import Images
from toonlab.engine.terms import Terms
from toonlab.methods.drawn import FLOW_TERMS, flow_terms, wants_drawn
from toonlab.methods.whitebox import WhiteBox
from toonlab.networks.frozen import Features
from toonlab.networks.projected import FeatureJudges


class ProjectedWhiteBox(WhiteBox):
    """White-box's three representations, and `projected`: LSGAN on features of the whole picture.

    The features are an ImageNet network's, so the judge need not learn what lines and flat areas are; small
    data and few iterations are enough for it. `flow_pixel` and `flow_content`, ours, are L1 and feature
    distance from the photo as flow-based abstraction draws it (the view `drawn`, read if one of them has
    weight): they teach lines and flat areas.

    Args:
        d_projected: judges features.
        projected: the frozen network that it reads.
        **common: see `WhiteBox`.
    """

    def __init__(self, *, d_projected: FeatureJudges, projected: Features, **common: Any) -> None:
        common["weights"] = {**dict.fromkeys(FLOW_TERMS, 0.0), **common["weights"]}  # older runs go on
        super().__init__(**common)
        if wants_drawn(self.weights, self.warmup_weights):
            self.extras = (*self.extras, "drawn")
        self.d_projected, self.projected = d_projected, projected

    def discriminators(self) -> list[nn.Module]:
        return [*super().discriminators(), self.d_projected]

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            **super().generator_terms(batch, views),
            "projected": lambda: self.adversarial.fool(self._judged(views["cartoon"])),
            **flow_terms(views["cartoon"], batch, self.features, self._target),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        return {
            **super().discriminator_terms(batch, views),
            "projected": lambda: (
                self.adversarial.real(self._judged(batch["cartoon"]), self.rng("real-projected"))
                + self.adversarial.fake(self._judged(views["cartoon"]), self.rng("fake-projected"))
            ),
        }

    def _judged(self, images: Tensor) -> Tensor:
        scores: Tensor = self.d_projected(self.projected(images))
        return scores
