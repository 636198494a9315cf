"""Strengths of models from choices: Bradley-Terry for pairs, Luce's choice for one of several.

P(i is picked of S) = w_i / Σ_{j in S} w_j, fitted by minorisation-maximisation (Hunter 2004, eq. 30 with one
pick a set). A model that never won, or never lost, would have no finite strength: `PRIOR` stands against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

PRIOR = 0.1
"""Votes that every model is given over every other one before the first real one."""

_TOLERANCE, _ROUNDS = 1e-10, 20_000


class Choice(NamedTuple):
    """Of which photo, which models were shown, and which was picked."""

    photo: int
    shown: tuple[int, ...]
    picked: int


def strengths(choices: Sequence[Choice], models: int, *, prior: float = PRIOR) -> Array:
    """Return `(models,)` strengths that sum to 1: the chance of each to be picked if all were shown.

    Args:
        choices: the votes.
        models: how many there are.
        prior: see `PRIOR`; 0 is plain maximum likelihood, which needs every model to win and lose somewhere.
    """
    wins, sets, members = _tallied(choices, models)
    found: Array = _fit(wins.sum(0)[None], sets.sum(0)[None], members, prior)[0]
    return found


def strength_draws(
    choices: Sequence[Choice], models: int, *, resamples: int, seed: int, prior: float = PRIOR
) -> Array:
    """Return `(resamples, models)` strengths, bootstrapped over photos: what other photos might have said.

    All votes on a photo stay together, for raters agree on it. The raters themselves are not resampled.
    """
    wins, sets, members = _tallied(choices, models)
    photos = len(wins)
    draws = np.random.default_rng(seed).multinomial(photos, [1 / photos] * photos, size=resamples)
    return _fit(draws @ wins, draws @ sets, members, prior)


def intervals(draws: Array, *, level: float = 0.95) -> list[tuple[float, float]]:
    """Return each model's percentile interval."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def chances_of_best(draws: Array) -> list[float]:
    """Return in what share of the draws each model is the strongest; ties are shared."""
    best = np.isclose(draws, draws.max(1, keepdims=True), rtol=1e-6)
    shares: list[float] = (best / best.sum(1, keepdims=True)).mean(0).tolist()
    return shares


def _tallied(choices: Sequence[Choice], models: int) -> tuple[Array, Array, Array]:
    """Return wins `(photos, models)`, uses of sets `(photos, sets)`, and members `(sets, models)`."""
    photos = {photo: row for row, photo in enumerate(dict.fromkeys(choice.photo for choice in choices))}
    kinds = {kind: row for row, kind in enumerate(dict.fromkeys(frozenset(c.shown) for c in choices))}
    wins, sets = np.zeros((len(photos), models)), np.zeros((len(photos), len(kinds)))
    members = np.zeros((len(kinds), models))
    for kind, row in kinds.items():
        members[row, list(kind)] = 1
    for choice in choices:
        wins[photos[choice.photo], choice.picked] += 1
        sets[photos[choice.photo], kinds[frozenset(choice.shown)]] += 1
    return wins, sets, members


def _fit(wins: Array, sets: Array, members: Array, prior: float) -> Array:
    """Fit `(draws, models)` at once from wins and from how often each set was shown, `(draws, sets)`."""
    models = wins.shape[1]
    if prior:
        both = np.zeros((models * (models - 1) // 2, models))
        for row, pair in enumerate(combinations(range(models), 2)):
            both[row, list(pair)] = 1
        members = np.concatenate([members, both])
        sets = np.concatenate([sets, np.full((len(sets), len(both)), 2 * prior)], axis=1)
        wins = wins + prior * (models - 1)
    found = np.full_like(wins, 1 / models)
    for _ in range(_ROUNDS):
        shares = sets / (found @ members.T)
        seen = shares @ members
        better = np.divide(wins, seen, out=np.zeros_like(wins), where=seen > 0)
        better /= better.sum(1, keepdims=True)
        moved = float(np.abs(better - found).max())
        found = better
        if moved < _TOLERANCE:
            break
    return found
