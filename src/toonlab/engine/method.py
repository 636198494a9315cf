"""The one place that optimises: a generator side and a discriminator side, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from toonlab import keyed
from toonlab.engine.ema import Ema
from toonlab.engine.quality import QUALITIES
from toonlab.engine.ranks import collected
from toonlab.engine.terms import Terms, check_names, weighted_sum
from toonlab.errors import UsageError, check_choice, did_you_mean
from toonlab.schedules import Hold, Schedule, as_schedule, is_off

Images = dict[str, Tensor]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

CHECKPOINT_FORMAT = 1

_EXTRA = "_extra_state"  # ends torch's name for what a module keeps besides tensors


class ToonMethod(LightningModule):
    """Alternating optimisation; a subclass says which networks play and what their losses are.

    One iteration is one update of the generator and, after the warm-up, one of the discriminators;
    every interval and schedule in toonlab counts these. (Lightning's `global_step` counts optimiser
    steps, two to an iteration.)

    Args:
        generator: photo to cartoon, `(B, 3, H, W)` in [-1, 1] both.
        optimizer: makes the generators' optimiser from their parameters.
        discriminator_optimizer: likewise for the discriminators.
        weights: one number or schedule for each name in `generator_terms`.
        discriminator_weights: one for each name in `discriminator_terms`.
        lr: factor on both learning rates, a number or a schedule.
        ema_half_life: iterations; None switches the average off.
        ema_ramp: see `Ema`.
        accumulate: batches to an iteration.
        clip_norm: largest gradient norm of each side, or None.
        warmup_iterations: so many first iterations train the generator alone, on `warmup_weights`.
        warmup_weights: weights that replace `weights` in the warm-up; names that are absent are off.
        seed: of every draw that the losses make.
        channels_last: keep weights and activations channels last: faster wherever convolutions are laid out
            so, GPUs in 16 bits and processors with AVX-512; about equal on others.
    """

    extras: tuple[str, ...] = ()
    """Views besides photo and cartoon that the method wants in its batches, e.g. `blurred`."""

    pair_terms: tuple[str, ...] = ()
    """Generator terms that compare the output with the photo's own cartoon."""

    source, target = "photo", "cartoon"
    """What the generator turns into what: views of a batch."""

    completes = False
    """Whether it completes damaged pictures: then `completed` is scored, in the hole alone."""

    monitor: str | None = None
    """The score that picks its best checkpoint, where it is not the one that fits all others."""

    domains: tuple[str, ...] = ()
    """The styles that the generator paints, if it has to be told one."""

    trained: tuple[str, ...] = ()
    """Those of `domains` that the data shows and training changes; a batch's `domain` counts these."""

    def __init__(
        self,
        *,
        generator: nn.Module,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        weights: Mapping[str, float | Schedule],
        discriminator_weights: Mapping[str, float | Schedule],
        lr: float | Schedule,
        ema_half_life: float | None,
        ema_ramp: float,
        accumulate: int,
        clip_norm: float | None,
        warmup_iterations: int,
        warmup_weights: Mapping[str, float | Schedule],
        seed: int,
        channels_last: bool = False,
        quality: str = "full",
    ) -> None:
        super().__init__()
        if accumulate < 1:
            raise UsageError(f"method.accumulate={accumulate}: it counts batches, 1 or more")
        self.automatic_optimization = False
        self.generator = generator
        self.ema = Ema(generator, half_life=ema_half_life, ramp=ema_ramp) if ema_half_life else None
        self.optimizer, self.discriminator_optimizer = optimizer, discriminator_optimizer
        self.weights = {name: as_schedule(weight) for name, weight in weights.items()}
        self.discriminator_weights = {name: as_schedule(w) for name, w in discriminator_weights.items()}
        self.warmup_weights = {name: as_schedule(weight) for name, weight in warmup_weights.items()}
        self.lr, self.accumulate, self.clip_norm, self.seed = as_schedule(lr), accumulate, clip_norm, seed
        self.warmup_iterations, self.channels_last = warmup_iterations, channels_last
        check_choice("method.quality", quality, QUALITIES)
        self.quality = quality
        self.iteration = 0
        self.config: dict[str, Any] = {}
        self.origin: dict[str, str] | None = None  # of weights that others trained: their licence goes on
        self.latest: dict[str, Tensor] = {}
        self.scores: dict[str, float] = {}
        self.scored_at = 0
        self._batch_of_iteration = 0
        self._names_checked = False

    # What a method writes ---------------------------------------------------

    def generators(self) -> list[nn.Module]:
        """The networks that `optimizer` trains."""
        return [self.generator]

    def discriminators(self) -> list[nn.Module]:
        """The networks that `discriminator_optimizer` trains."""
        raise NotImplementedError

    def render(self, batch: Images) -> Images:
        """Return every generated image that the losses look at, with its graph."""
        raise NotImplementedError

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        """Return the generator's losses by name, each a function without arguments."""
        raise NotImplementedError

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        """Return the discriminators' losses by name; `views` arrive detached."""
        raise NotImplementedError

    def finish(self, photo: Tensor, painted: Tensor) -> Tensor:
        """Turn the generator's output into what a user is given; the default leaves it alone."""
        return painted

    def painting(self) -> dict[str, Any]:
        """What a stylizer must know besides the generator; plain values, saved in every checkpoint."""
        return {}

    def panel(self, photos: Tensor, first: int) -> dict[str, Tensor]:
        """Return a sample picture's columns by title, `(B, 3, H, W)`; `first` is the first photo's number."""
        return {self.source: photos, "output": self.paint_raw(photos), "EMA output": self(photos)}

    def completed(self, photos: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Damage photos numbered from `first`; return results, clean cartoons and known-masks."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What `result.json` is to say besides; plain values."""
        return {}

    def begin_with(self, generator: nn.Module) -> None:
        """Take the weights of a trained generator, as the config describes it."""
        self.generator.load_state_dict(generator.state_dict())
        if self.ema:
            self.ema.average.load_state_dict(self.generator.state_dict())

    def meet(self, data: Any) -> None:
        """Look at the data module before a new run's first iteration, if the method wants to."""

    # What it gets -----------------------------------------------------------

    def forward(self, photo: Tensor, *domain: str) -> Tensor:
        """Paint `(B, 3, H, W)` in [-1, 1] with the averaged generator, clipped to [-1, 1].

        A method with `domains` is told which one.
        """
        cartoon: Tensor = (self.ema or self.generator)(photo, *domain)
        return self.finish(photo, cartoon).clamp(-1, 1)

    def paint_raw(self, photo: Tensor, *domain: str) -> Tensor:
        """Paint with the generator as it is now, clipped to [-1, 1]."""
        cartoon: Tensor = self.generator(photo, *domain)
        return self.finish(photo, cartoon).clamp(-1, 1)

    def rng(self, purpose: str, device: str | None = None) -> torch.Generator:
        """A fresh generator; asked twice for one purpose in one batch, it gives the same draws.

        On the method's device, unless another is named: `cpu` for draws that decide what Python does.
        """
        return keyed.generator(
            self.seed,
            purpose,
            self.global_rank,
            self.iteration,
            self._batch_of_iteration,
            device=device or self.device,
        )

    @property
    def batches_consumed(self) -> int:
        """Batches behind the finished iterations; where the data stream goes on after a resume."""
        return self.iteration * self.accumulate

    @property
    def warming_up(self) -> bool:
        return self.iteration < self.warmup_iterations

    @property
    def needs_pairs(self) -> list[str]:
        """The terms with weight that make sense only on paired data."""
        return [name for name in self.pair_terms if name in self.weights and not is_off(self.weights[name])]

    def scheduled(self) -> dict[str, float]:
        """The weights that change with training, as they were for the last iteration: for the log."""
        last = max(self.iteration - 1, 0)
        weights = {"weight": self.weights, "discriminator_weight": self.discriminator_weights}
        return {
            f"{group}/{name}": weight(last)
            for group, named in weights.items()
            for name, weight in named.items()
            if not isinstance(weight, Hold)
        }

    @property
    def weights_now(self) -> Mapping[str, Schedule]:
        """The generator's weights at this iteration: the warm-up's or the main ones."""
        return self.warmup_weights if self.warming_up else self.weights

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        sides = [(self.optimizer, self.generators()), (self.discriminator_optimizer, self.discriminators())]
        return [
            make(p for network in networks for p in network.parameters() if p.requires_grad)
            for make, networks in sides
        ]

    def on_fit_start(self) -> None:
        if self.channels_last:  # a convolution's result follows its weights, so the images need not be told
            self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Images, batch_idx: int) -> None:
        optimizer, discriminator_optimizer = cast("list[LightningOptimizer]", self.optimizers())
        warming_up, is_update = self.warming_up, self._batch_of_iteration + 1 == self.accumulate
        if self._batch_of_iteration == 0:
            self.latest = {}

        with self.toggled_optimizer(optimizer):
            views = self.render(batch)
            terms = self.generator_terms(batch, views)
            self._check_names_once(terms, batch, views)
            self._advance("generator", optimizer, terms, self.weights_now, is_update)

        if not warming_up:
            views = {name: view.detach() for name, view in views.items()}
            with self.toggled_optimizer(discriminator_optimizer):
                terms = self.discriminator_terms(batch, views)
                self._advance(
                    "discriminator", discriminator_optimizer, terms, self.discriminator_weights, is_update
                )

        self._batch_of_iteration += 1
        if is_update:
            self._batch_of_iteration = 0
            self.iteration += 1
            if self.ema:
                self.ema.update(self.generator, self.iteration)

    @property
    def between_iterations(self) -> bool:
        """Whether the last batch ended an iteration; only then is the state worth saving."""
        return self._batch_of_iteration == 0

    def _advance(
        self,
        side: str,
        optimizer: LightningOptimizer,
        terms: Terms,
        weights: Mapping[str, Schedule],
        is_update: bool,
    ) -> None:
        total, values = weighted_sum(terms, weights, self.iteration)
        self.manual_backward(total / self.accumulate)
        if is_update:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("base_lr", group["lr"]) * self.lr(self.iteration)
            optimizer.step()
            optimizer.zero_grad()
        for name, value in {**values, "total": total}.items():
            key, share = f"{side}/{name}", value.detach() / self.accumulate
            self.latest[key] = self.latest[key] + share if key in self.latest else share

    def _check_names_once(self, terms: Terms, batch: Images, views: Images) -> None:
        """At the first batch, not after a warm-up of hours; terms are lazy, so asking is free."""
        if self._names_checked:
            return
        check_names(terms, self.weights, "method.weights")
        check_names(
            self.discriminator_terms(batch, views), self.discriminator_weights, "method.discriminator_weights"
        )
        for name in self.warmup_weights.keys() - terms.keys():
            hint = did_you_mean(name, terms)
            raise UsageError(f"method.warmup_weights.{name}: no such loss term{hint}; known: {sorted(terms)}")
        if self.warming_up and not self.warmup_weights:
            raise UsageError(
                f"method.warmup_iterations={self.warmup_iterations}: this method has no warm-up; set 0, or "
                "give it terms, method.warmup_weights={TERM:1}"
            )
        self._names_checked = True

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # Here, not in `_advance`: under fp16 the gradients are still scaled before this hook.
        if self.clip_norm:
            nn.utils.clip_grad_norm_((p for g in optimizer.param_groups for p in g["params"]), self.clip_norm)

    # Checkpoints that describe themselves -----------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning's loop counters would replay or skip batches; ours is the iteration.
        checkpoint.pop("loops", None)
        checkpoint["global_step"] = self.iteration
        checkpoint["toonlab"] = {
            "format": CHECKPOINT_FORMAT,
            "iteration": self.iteration,
            "scores": self.scores,
            "scored_at": self.scored_at,
            "painting": self.painting() | ({"quality": self.quality} if self.quality != "full" else {}),
            "config": self.config,
        }
        if self.origin:
            checkpoint["toonlab"]["origin"] = self.origin
        # Histories of images: each rank has its own; the first one's are where a single process looks.
        if own := {key: state for key, state in checkpoint["state_dict"].items() if key.endswith(_EXTRA)}:
            others = collected(self.trainer, own)[1:]
            checkpoint["toonlab"] |= {"other_ranks": others} if others else {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        about = checkpoint["toonlab"]
        self.iteration, self.scores, self.scored_at = about["iteration"], about["scores"], about["scored_at"]
        self.origin = about.get("origin")
        # Rank r of n takes what rank r of as many had; of fewer, what rank r modulo their number had.
        others = about.get("other_ranks", [])
        if whose := self.global_rank % (1 + len(others)):
            checkpoint["state_dict"].update(others[whose - 1])
