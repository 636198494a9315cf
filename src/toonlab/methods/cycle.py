"""CycleGAN (Zhu et al. 2017) and source 004's variants v3 to v6 of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.engine.direction import domains
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.pool import ImagePool
from toonlab.engine.terms import Terms
from toonlab.errors import check_choice
from toonlab.losses.adversarial import Adversarial, score_match
from toonlab.networks.discriminators import PatchDiscriminator
from toonlab.schedules import Hold, Schedule, as_schedule, times

NORMS = {"l1": F.l1_loss, "l2": F.mse_loss}


class CycleGAN(ToonMethod):
    """Two generators, there and back, and a discriminator in each domain.

    With x of the source domain X, y of the target domain Y, G = `generator` and F = `inverse_generator`,
    each term is the sum over both directions (source 004's numbers):

        adversarial    eq. 1: G would fool D_Y, and F D_X
        paired         eq. 5: mean (G(x) - y)²; needs pairs, as the next
        score_match    eq. 6: mean |D_Y(y) - D_Y(G(x))|, patch by patch, D_Y(y) without gradient
        cycle_pixel    eq. 2: mean |F(G(x)) - x|
        cycle_feature  eq. 8's first half: mean |f(F(G(x))) - f(x)|, f what D_X sees before its last layer
        identity       eq. 3: `identity_norm` of G(y) - y

    Eq. 7 is `paired` and `score_match` with weights λ and 1 - λ, eq. 8 `cycle_feature` and `cycle_pixel` with
    γ and 1 - γ. The discriminators always learn eq. 1, from `pool_size` older fakes as well.

    Args:
        direction: `to_cartoon` or `to_photo`; what G, the painter, does.
        inverse_generator: F.
        d_source: D_X.
        d_target: D_Y.
        identity_norm: `l2` (the report's) or `l1` (CycleGAN's).
        pool_size: images of each domain's history.
        cycle_weight: a key of `cycle_weights`; `decay` is the ablation after "CycleGAN with Better Cycles".
        cycle_weights: factors on both cycle terms, numbers or schedules.
    """

    pair_terms = ("paired", "score_match")

    def __init__(
        self,
        *,
        direction: str,
        inverse_generator: nn.Module,
        d_source: PatchDiscriminator,
        d_target: PatchDiscriminator,
        adversarial: Adversarial,
        identity_norm: str,
        pool_size: int,
        cycle_weight: str,
        cycle_weights: Mapping[str, float | Schedule],
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_choice("method.identity_norm", identity_norm, NORMS)
        check_choice("method.cycle_weight", cycle_weight, cycle_weights)
        self.direction, (self.source, self.target) = direction, domains(direction)
        self.inverse_generator, self.d_source, self.d_target = inverse_generator, d_source, d_target
        self.adversarial, self.identity_norm = adversarial, NORMS[identity_norm]
        self.source_pool, self.target_pool = ImagePool(pool_size), ImagePool(pool_size)
        factor = as_schedule(cycle_weights[cycle_weight])
        for name in {"cycle_pixel", "cycle_feature"} & self.weights.keys():
            self.weights[name] = times(self.weights[name], factor)

    def generators(self) -> list[nn.Module]:
        return [self.generator, self.inverse_generator]

    def discriminators(self) -> list[nn.Module]:
        return [self.d_source, self.d_target]

    def render(self, batch: Images) -> Images:
        x, y = batch[self.source], batch[self.target]
        if not self.weights_now.get("identity", Hold(0.0))(self.iteration):
            return {"target": self.generator(x), "source": self.inverse_generator(y)}
        # The identity term looks at G(y) and F(x): drawn in the same passes, it costs less.
        target, same_target = _together(self.generator, x, y)
        source, same_source = _together(self.inverse_generator, y, x)
        return {"target": target, "source": source, "same_target": same_target, "same_source": same_source}

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        x, y = batch[self.source], batch[self.target]
        back_x = cache(lambda: self.inverse_generator(views["target"]))
        back_y = cache(lambda: self.generator(views["source"]))
        same_y = cache(lambda: views["same_target"] if "same_target" in views else self.generator(y))
        same_x = cache(lambda: views["same_source"] if "same_source" in views else self.inverse_generator(x))
        judged_x = cache(lambda: self.d_source(views["source"]))
        judged_y = cache(lambda: self.d_target(views["target"]))
        return {
            "adversarial": lambda: self.adversarial.fool(judged_y()) + self.adversarial.fool(judged_x()),
            "paired": lambda: F.mse_loss(views["target"], y) + F.mse_loss(views["source"], x),
            "score_match": lambda: (
                score_match(self._frozen(self.d_target, y), judged_y())
                + score_match(self._frozen(self.d_source, x), judged_x())
            ),
            "cycle_pixel": lambda: F.l1_loss(back_x(), x) + F.l1_loss(back_y(), y),
            "cycle_feature": lambda: (
                self._feature_cycle(self.d_source, back_x(), x)
                + self._feature_cycle(self.d_target, back_y(), y)
            ),
            "identity": lambda: self.identity_norm(same_y(), y) + self.identity_norm(same_x(), x),
        }

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        pools = {"source": self.source_pool, "target": self.target_pool}
        judges = {"source": self.d_source, "target": self.d_target}
        real = {"source": batch[self.source], "target": batch[self.target]}

        def judge(side: str) -> Tensor:
            fake = pools[side].query(views[side], self.rng(f"pool-{side}", "cpu"))
            on_real, on_fake = _together(judges[side], real[side], fake)
            return self.adversarial.real(on_real, self.rng(f"real-{side}")) + self.adversarial.fake(
                on_fake, self.rng(f"fake-{side}")
            )

        return {"source": lambda: judge("source"), "target": lambda: judge("target")}

    def painting(self) -> dict[str, Any]:
        return {"direction": self.direction}

    @torch.no_grad()
    def _frozen(self, judge: PatchDiscriminator, images: Tensor) -> Tensor:
        scores: Tensor = judge(images)
        return scores

    def _feature_cycle(self, judge: PatchDiscriminator, back: Tensor, original: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = judge.features(original)
        return F.l1_loss(judge.features(back), wanted)


def _together(network: nn.Module, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return `network(one)`, `network(other)` of a single pass: our norms are per image, so it is exact."""
    results: Tensor = network(torch.cat([one, other]))
    return results[: len(one)], results[len(one) :]
