"""Who sees which pictures in which order and at which place.

Over a rater's photos each model stands equally often at each place (at most one apart where the numbers do
not divide), and beside each other model equally often. Order and places follow from the seed and the rater.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from toonlab.keyed import permutation, seed_of

Mode = Literal["pick", "pairs"]
MODES: tuple[Mode, ...] = ("pick", "pairs")


class Trial(NamedTuple):
    """One question: a photo, and the models whose pictures are shown, from left to right."""

    photo: int
    shown: tuple[int, ...]


def trials(mode: Mode, *, models: int, photos: int, seed: int, rater: str) -> list[Trial]:
    """Return a rater's questions in the order in which they are asked.

    Args:
        mode: `pick`: all models of each photo at once; `pairs`: every two of them.
        models: how many, at least two.
        photos: how many.
        seed: of the whole vote.
        rater: has an order of their own.
    """
    order = permutation(photos, seed, "photos", rater)
    # Where numbers do not divide, some model is first once more often: another one for each rater.
    names = permutation(models, seed, "models", rater)
    asked = _picks if mode == "pick" else _pairs
    return [
        Trial(order[i], tuple(names[model] for model in shown))
        for i, shown in asked(models, photos, (seed, rater))
    ]


def williams(models: int) -> list[list[list[int]]]:
    """Return Latin squares, rows of models, that together are balanced for neighbours (Williams 1949).

    In a square each model stands once at each place. Over one square of an even number of models, or both of
    an odd number, each model stands equally often at the left of each other one.
    """
    first = [0]
    for step in range(1, models):  # 0, 1, k-1, 2, k-2, …: all differences once
        first.append((step + 1) // 2 if step % 2 else models - step // 2)
    square = [[(model + row) % models for model in first] for row in range(models)]
    return [square] if models % 2 == 0 else [square, [row[::-1] for row in square]]


def _picks(models: int, photos: int, key: tuple[int, str]) -> list[tuple[int, Sequence[int]]]:
    squares = williams(models)
    rows: list[list[int]] = []
    for block in range(-(-photos // models)):
        square = squares[block % len(squares)]
        # Shuffled, so that nobody can tell from one question who stands where in the next.
        rows += [square[row] for row in permutation(models, *key, "rows", block)]
    return list(enumerate(rows[:photos]))


def _pairs(models: int, photos: int, key: tuple[int, str]) -> list[tuple[int, Sequence[int]]]:
    """Ask one pair of each photo, then another of each, so that whoever stops early has seen all photos."""
    pairs = [_towards(a, b) for a, b in combinations(range(models), 2)]
    sides = [_sides(photos, (*key, "sides", pair)) for pair in range(len(pairs))]
    asked: list[tuple[int, Sequence[int]]] = []
    for turn in range(len(pairs)):
        for photo in range(photos):
            pair = (photo + turn) % len(pairs)
            asked.append((photo, pairs[pair][:: 1 if sides[pair][photo] else -1]))
    return asked


def _towards(a: int, b: int) -> tuple[int, int]:
    """Orient a pair so that over all pairs each model is first equally often, or once more or less."""
    return (a, b) if (b - a) % 2 else (b, a)


def _sides(photos: int, key: tuple[int | str, ...]) -> list[bool]:
    """Return whether the pair stands as oriented: half of the photos, by twos in random order."""
    flips = [seed_of(*key, block) % 2 == 0 for block in range(photos // 2)]
    both = [side for flip in flips for side in (flip, not flip)]
    return both + [True] * (photos % 2)
