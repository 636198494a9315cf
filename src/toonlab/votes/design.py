"""Who sees which pictures in which order and at which place.

Over a rater's photos each model stands equally often at each place (at most one apart where the numbers do
not divide), and beside each other model equally often. Order and places follow from the seed and the rater.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from toonlab.keyed import permutation, seed_of

Mode = Literal["pick", "pairs"]
MODES: tuple[Mode, ...] = ("pick", "pairs")
POOLED = 4  # squares at least that are shuffled together, where there are as many
TRIES = 8  # walks, of which the most balanced is taken where a photo is left over
HUB = -1


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


def pools(models: int, photos: int) -> list[int]:
    """Return how many questions of a pick are shuffled together, pool after pool.

    Of two models all; of more four to seven squares, so that whoever stops early has seen balanced places up
    to the last pool. Small pools would tell the next question: of two rows the second is known.
    """
    squares = photos // models
    count = 1 if models == 2 else max(1, squares // POOLED)
    sizes = [(squares // count + (pool < squares % count)) * models for pool in range(count)]
    sizes[-1] += photos % models
    return sizes


def _picks(models: int, photos: int, key: tuple[int, str]) -> list[tuple[int, Sequence[int]]]:
    squares = williams(models)
    rows: list[list[int]] = []
    for block in range(-(-photos // models)):
        square = squares[block % len(squares)]
        rows += [square[row] for row in permutation(models, *key, "rows", block)]
    asked: list[list[int]] = []
    for pool, size in enumerate(pools(models, photos)):
        start = len(asked)
        asked += [rows[start + row] for row in permutation(size, *key, "pool", pool)]
    return list(enumerate(asked))


def _pairs(models: int, photos: int, key: tuple[int, str]) -> list[tuple[int, Sequence[int]]]:
    """Ask one pair of each photo, then another of each, so that whoever stops early has seen all photos.

    Photos go by twos, and so do rounds: in the second of two rounds two photos exchange their pairs, and what
    stood left stands right. So pairs are balanced over two rounds, and models within each one too, because
    its pairs are oriented along circuits. Of an odd number of rounds the last shows both photos the same
    pair, either way round. A photo that is left over adds one pair to each round.
    """
    pairs = [_towards(a, b) for a, b in combinations(range(models), 2)]
    twos, odd = photos // 2, len(pairs) % 2
    # Which photos are a two is nobody's guess.
    slots = permutation(photos, *key, "slots")
    asked: list[tuple[int, Sequence[int]]] = []

    def ask(shown: list[tuple[int, int]]) -> None:
        asked.extend((photo, shown[slot]) for photo, slot in enumerate(slots))

    for turn in range(0, len(pairs) - odd, 2):
        here = [pairs[(2 * two + odd + turn + side) % len(pairs)] for two in range(twos) for side in (0, 1)]
        alone = [pairs[(2 * twos + odd + turn + after) % len(pairs)] for after in (0, 1)][: 2 * (photos % 2)]
        tries = [_oriented(here, (*key, "sides", turn, trial)) for trial in range(TRIES if alone else 1)]
        best = min(tries, key=lambda shown: _lean(shown + alone[:1]) + _lean(_mirrored(shown) + alone[1:]))
        ask(best + alone[:1])
        ask(_mirrored(best) + alone[1:])
    if odd:
        both: list[tuple[int, int]] = []
        for two in range(twos):
            a, b = pairs[2 * two % len(pairs)]
            flip = seed_of(*key, "last", two) % 2 == 0
            both += [(a, b), (b, a)] if flip else [(b, a), (a, b)]
        ask(both + [pairs[2 * twos % len(pairs)]] * (photos % 2))
    return asked


def _mirrored(shown: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the next round: neighbours exchange their pairs, and these their sides."""
    return [shown[slot ^ 1][::-1] for slot in range(len(shown))]


def _lean(shown: list[tuple[int, int]]) -> int:
    """Return how much more often than right a model stands left, or the reverse, at most."""
    return max((abs(lean) for lean in _leans(shown).values()), default=0)


def _leans(shown: list[tuple[int, int]]) -> Counter[int]:
    leans = Counter[int]()
    for left, right in shown:
        leans[left] += 1
        leans[right] -= 1
    return leans


def _oriented(edges: list[tuple[int, int]], key: tuple[int | str, ...]) -> list[tuple[int, int]]:
    """Turn pairs so that each pair and each model stands left as often as right, or once more or less.

    Equal pairs go by twos, one either way round. Those left over are walked along in circuits (Euler), in
    random order; models with an odd number of them are tied to a hub, which makes all numbers even.
    """
    shown = list(edges)
    single: dict[frozenset[int], int] = {}
    for edge in permutation(len(edges), *key):
        pair = frozenset(edges[edge])
        other = single.pop(pair, None)
        if other is None:
            single[pair] = edge
        elif seed_of(*key, edge) % 2:
            shown[edge], shown[other] = edges[edge], edges[edge][::-1]
        else:
            shown[edge], shown[other] = edges[edge][::-1], edges[edge]
    ends: list[tuple[int, ...]] = [edges[edge] for edge in single.values()]
    numbers = list(single.values())
    degrees = Counter(model for pair in ends for model in pair)
    ends += [(model, HUB) for model, degree in sorted(degrees.items()) if degree % 2]
    left = permutation(len(ends), *key, "walk")
    while left:
        start = ends[left[0]][seed_of(*key, "from", left[0]) % 2]
        here = start
        while (step := next((edge for edge in left if here in ends[edge]), None)) is not None:
            left.remove(step)
            there = ends[step][ends[step][0] == here]
            if step < len(numbers):
                shown[numbers[step]] = (here, there)
            here = there
    return shown


def _towards(a: int, b: int) -> tuple[int, int]:
    """Orient a pair so that over all pairs each model is first equally often, or once more or less."""
    return (a, b) if (b - a) % 2 else (b, a)
