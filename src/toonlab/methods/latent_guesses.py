"""The candidates of one completion: those that trained networks give, or those that a search gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from toonlab.engine.terms import weighted_sum
from toonlab.methods.completing import Guess
from toonlab.methods.latent_search import LatentSearch, Offsets, Start
from toonlab.methods.learned_completion import LearnedCompletion
from toonlab.networks.layers import LatentGenerator
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.completion import OnStep
from toonlab.representations.inpainting.prefill import prefill
from toonlab.schedules import Schedule

Way = Callable[[], Guess]


def learned_guesses(
    photos: Tensor,
    known: Tensor,
    count: int,
    *,
    painter: LatentGenerator,
    networks: LearnedCompletion,
    prefills: Sequence[str],
    search: LatentSearch,
    bank: LatentBank | None,
    on_step: OnStep | None,
) -> list[Guess]:
    """Return at most `count` candidates for `(B, 3, H, W)` in [-1, 1], missing where `(B, 1, H, W)` is 0.

    They start from each of `prefills`, then from the bank's nearest latents; without a bank from mirrored
    photos, as many again as there are prefills.
    """
    ways: list[Way] = [
        partial(_guess, photos, known, painter, networks, how, mirrored)
        for mirrored in (False, True)
        for how in prefills
    ]
    if bank and count > len(prefills):
        # Mirrored ones say least that is new: the bank's take their places.
        with torch.no_grad():
            refined = networks.refine(prefill(photos, known, prefills[0]), known)
        starts = search.begin(painter, bank, refined, known, count - len(prefills))
        ways[len(prefills) :] = [
            partial(_guess_from, start, painter, networks, refined, known) for start in starts
        ]
    found = []
    for i, way in enumerate(ways[:count]):
        found.append(way())
        if on_step:
            on_step(i + 1, min(count, len(ways)))
    return found


def searched_guesses(
    filled: Tensor,
    known: Tensor,
    count: int,
    *,
    painter: LatentGenerator,
    search: LatentSearch,
    bank: LatentBank,
    weights: Mapping[str, Schedule],
    fool: Callable[[Tensor], Callable[[], Tensor]] | None,
    on_step: OnStep | None,
    steps: int | None = None,
) -> list[Guess]:
    """Return at most `count` candidates, each refined from a start of its own.

    Args:
        filled: the prefilled photos, `(B, 3, H, W)` in [-1, 1].
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
        count: how many; a smaller bank gives fewer.
        painter: the frozen generator.
        search: what is descended on, how far and how fast.
        bank: gives the starts.
        weights: of `LatentSearch.terms`, by the step.
        fool: makes the prior of a cartoon; None without a discriminator that has a say.
        on_step: told of progress.
        steps: at most; `search.steps` otherwise.
    """
    steps = search.steps if steps is None else min(steps, search.steps)
    starts = search.begin(painter, bank, filled, known, max(count, 1))
    total, spread = steps * len(starts), bank.channel_std().to(filled)
    found = []
    for i, start in enumerate(starts):
        offsets = Offsets(*start.latent.shape).to(filled)
        optimizer = torch.optim.Adam(offsets.parameters(), lr=search.lr)
        for step in range(steps):
            with torch.enable_grad():
                latent = offsets(start)
                cartoon = painter.decode(latent)
                terms = search.terms(start, latent, cartoon, spread, fool(cartoon) if fool else None)
                loss, _ = weighted_sum(terms, weights, step)
                (offsets.value.grad,) = torch.autograd.grad(loss, [offsets.value])
            optimizer.step()
            if on_step:
                on_step(i * steps + step + 1, total)
        with torch.no_grad():
            found.append(Guess(painter.decode(offsets(start)), start.target))
    return found


@torch.no_grad()
def _guess(
    photos: Tensor,
    known: Tensor,
    painter: LatentGenerator,
    networks: LearnedCompletion,
    how: str,
    mirrored: bool,
) -> Guess:
    """Complete from a first guess, as it is or mirrored: each gives another completion."""
    if mirrored:
        photos, known = photos.flip(3), known.flip(3)
    refined = networks.refine(prefill(photos, known, how), known)
    start = painter.encode(refined)
    latent = networks.complete(start, refined, known)
    pair = [painter.decode(each) for each in (latent, start)]
    return Guess(*(each.flip(3) if mirrored else each for each in pair))


@torch.no_grad()
def _guess_from(
    start: Start, painter: LatentGenerator, networks: LearnedCompletion, refined: Tensor, known: Tensor
) -> Guess:
    """Complete from a bank's latent in place of the prefilled photo's own."""
    return Guess(painter.decode(networks.complete(start.latent, refined, known)), start.target)
