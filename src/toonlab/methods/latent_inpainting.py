"""Cartoons of damaged photos, completed in the latent of a frozen, trained generator (Yeh et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from toonlab import keyed
from toonlab.engine.method import Images
from toonlab.engine.terms import Terms
from toonlab.errors import UsageError, check_choice
from toonlab.losses.adversarial import Adversarial
from toonlab.methods.completing import Completing, Guess
from toonlab.methods.latent_guesses import learned_guesses, searched_guesses
from toonlab.methods.latent_search import LatentSearch, Offsets, Start
from toonlab.methods.learned_completion import LearnedCompletion
from toonlab.networks.frozen import Features
from toonlab.networks.layers import LatentGenerator, latent_channels
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.completion import OnStep
from toonlab.representations.inpainting.draws import HoleDraws
from toonlab.representations.inpainting.prefill import prefill
from toonlab.schedules import Schedule


class LatentInpainting(Completing):
    """Completes latents in one of two ways.

    `learned` trains two small networks on random holes in whole photos. Only the clean photo's latent and
    cartoon are their teachers; the data's cartoons are not looked at. The warm-up trains the picture's
    correction alone, which needs no generator; then the latent's joins in, with the discriminator, to whom
    cartoons of whole photos are real.

    `search` trains nothing that lasts: one batch's latents are moved, an iteration is a step. Cartoons of the
    bank are real to its discriminator, not the batch's own, which a user would not have.

    Args:
        completion: `learned` or `search`.
        learned: makes the networks from the generator.
        search: numbers of the search.
        batch: shape `(B, H, W)` of the batches that a search is trained on.
        masks: draws the holes to train on.
        prefills: first guesses, one drawn for each training batch; at use the first.
        search_weights: in place of `weights` for `search`.
        adversarial: of the discriminator, with `learned`.
        search_adversarial: likewise with `search`, whose prior is -log D: cross entropy.
        preview_steps: of a search while it trains, for each sample and validation photo; None for as many as
            at use.
        needs_ckpt: tells the command that the generator's weights come from `ckpt`.
    """

    def __init__(
        self,
        *,
        completion: str,
        learned: Callable[[LatentGenerator], LearnedCompletion],
        search: LatentSearch,
        batch: Sequence[int],
        features: Features,
        masks: HoleDraws,
        prefills: Sequence[str],
        weights: Mapping[str, float | Schedule],
        search_weights: Mapping[str, float | Schedule],
        adversarial: Adversarial,
        search_adversarial: Adversarial,
        preview_steps: int | None = None,
        needs_ckpt: bool = True,
        **common: Any,
    ) -> None:
        check_choice("completion", completion, ["learned", "search"])
        self.searching = completion == "search"
        if self.searching:
            common |= {"warmup_iterations": 0, "warmup_weights": {}}
        super().__init__(
            weights=search_weights if self.searching else weights,
            adversarial=search_adversarial if self.searching else adversarial,
            **common,
        )
        self.features, self.masks, self.prefills, self.search = features, masks, list(prefills), search
        self.preview_steps, self._fitting = preview_steps, False
        self.bank: LatentBank | None = None
        self.completion: nn.Module
        if self.searching:
            count, height, width = batch
            stride = self.painter.multiple
            self.completion = Offsets(count, latent_channels(self.painter), height // stride, width // stride)
        else:
            self.completion = learned(self.painter)
        self._clean_of: tuple[Tensor, Tensor, Tensor] | None = None
        self._begun: tuple[Tensor, Start] | None = None

    def generators(self) -> list[nn.Module]:
        return [self.completion]

    def on_fit_start(self) -> None:
        if self.searching and self.trainer.world_size > 1:
            raise UsageError(
                f"trainer.devices={self.trainer.world_size}: completion=search moves one batch's latents; "
                "use trainer.devices=1"
            )
        super().on_fit_start()
        self._fitting = True

    def on_fit_end(self) -> None:
        self._fitting = False

    def render(self, batch: Images) -> Images:
        return self._moved(batch["photo"]) if self.searching else self._corrected(batch["photo"])

    def generator_terms(self, batch: Images, views: Images) -> Terms:
        if self.searching:
            start, cartoon = self._start(batch["photo"]), views["cartoon"]
            return self.search.terms(
                start, views["latent"], cartoon, self._bank().channel_std().to(cartoon), self._fool(cartoon)
            )
        photo = batch["photo"]
        return self._learned().terms(photo, lambda: self._clean(photo), views, self.features, self._fool)

    def discriminator_terms(self, batch: Images, views: Images) -> Terms:
        judge = self.discriminator
        return {
            "real": lambda: self.adversarial.real(judge(self._real(batch["photo"])), self.rng("real")),
            "fake": lambda: self.adversarial.fake(judge(views["cartoon"]), self.rng("fake")),
        }

    # Learned ----------------------------------------------------------------

    def _learned(self) -> LearnedCompletion:
        return cast("LearnedCompletion", self.completion)

    def _corrected(self, photo: Tensor) -> Images:
        rng, networks = self.rng("holes"), self._learned()
        known = self.masks.batch(photo, rng)
        how = self.prefills[int(torch.randint(len(self.prefills), (1,), generator=rng, device=rng.device))]
        refined = networks.refine(prefill(photo, known, how), known)
        if self.warming_up:
            return {"known": known, "refined": refined}
        seen = refined.detach()  # has its own terms; the way back through the encoder is long
        start = self.painter.encode(seen)
        networks.measure(self._clean(photo)[0])
        latent = networks.complete(start, seen, known)
        return {"known": known, "refined": refined, "latent": latent, "cartoon": self.painter.decode(latent)}

    def _clean(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return latent and cartoon of whole photos; asked again for the same ones, the same."""
        if self._clean_of is None or self._clean_of[0] is not photo:
            latent = self.painter.encode(photo)
            self._clean_of = photo, latent, self.painter.decode(latent)
        return self._clean_of[1:]

    def _real(self, photo: Tensor) -> Tensor:
        if not self.searching:
            return self._clean(photo)[1]
        bank = self._bank()
        rng = self.rng("bank")
        chosen = torch.randint(len(bank), (len(photo),), generator=rng, device=rng.device)
        return self.painter.decode(bank.maps(chosen).to(photo))

    def _fool(self, cartoon: Tensor) -> Callable[[], Tensor]:
        return lambda: self.adversarial.fool(self.discriminator(cartoon))

    # Search -----------------------------------------------------------------

    def _bank(self) -> LatentBank:
        if self.bank is None:
            raise UsageError("completion=search starts from latents of clean photos: name a folder, bank=DIR")
        return self.bank

    def _moved(self, photo: Tensor) -> Images:
        start = self._start(photo)
        latent = self.completion(start)
        return {"latent": latent, "cartoon": self.painter.decode(latent)}

    def _start(self, photo: Tensor) -> Start:
        """Return the batch's start; made once, for a run has one batch."""
        if self._begun is None or not torch.equal(self._begun[0], photo):
            rng = keyed.generator(self.seed, "holes", device=photo.device)
            known = self.masks.batch(photo, rng)
            filled = prefill(photo, known, self.prefills[0])
            self._begun = photo, self.search.begin(self.painter, self._bank(), filled, known, 1)[0]
        return self._begun[1]

    # At use -----------------------------------------------------------------

    def guesses(self, photos: Tensor, known: Tensor, count: int, on_step: OnStep | None) -> list[Guess]:
        if not self.searching:
            return learned_guesses(
                photos,
                known,
                count,
                painter=self.painter,
                networks=self._learned(),
                prefills=self.prefills,
                search=self.search,
                bank=self.bank,
                on_step=on_step,
            )
        return searched_guesses(
            prefill(photos, known, self.prefills[0]),
            known,
            count,
            painter=self.painter,
            search=self.search,
            bank=self._bank(),
            weights=self.weights,
            fool=self._fool if self.judged else None,
            on_step=on_step,
            # Hundreds of steps for each sample would take many times as long as the run itself.
            steps=self.preview_steps if self._fitting else None,
        )
