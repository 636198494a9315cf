"""Balance, counted; and what must not change once a rater has begun."""

from collections import Counter
from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab.votes.design import Trial, trials, williams

SOME = {
    "models": st.integers(2, 9),
    "photos": st.integers(1, 24),
    "seed": st.integers(0, 2**32),
    "rater": st.text(max_size=8),
}


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


def at_places(asked: list[Trial], models: int) -> list[list[int]]:
    """How often each model stood at each place."""
    seen = Counter((model, place) for trial in asked for place, model in enumerate(trial.shown))
    return [[seen[model, place] for place in range(len(asked[0].shown))] for model in range(models)]


def test_a_square_by_hand() -> None:
    assert williams(4) == [[[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]]
    one, two = williams(3)
    assert one == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    assert two == [[2, 1, 0], [0, 2, 1], [1, 0, 2]]


@settings(max_examples=12, deadline=None)
@given(models=st.integers(2, 12))
def test_squares_are_latin_and_balanced_for_neighbours(models: int) -> None:
    squares = williams(models)
    for square in squares:
        for line in [*square, *zip(*square, strict=True)]:
            assert sorted(line) == list(range(models))
    neighbours = Counter(pair for square in squares for row in square for pair in pairwise(row))
    assert len(neighbours) == models * (models - 1)
    assert spread(list(neighbours.values())) == 0


@settings(max_examples=25, deadline=None)
@given(**SOME)
def test_picks_show_all_models_of_each_photo_once_at_balanced_places(models, photos, seed, rater) -> None:
    asked = trials("pick", models=models, photos=photos, seed=seed, rater=rater)
    assert sorted(trial.photo for trial in asked) == list(range(photos))
    assert all(sorted(trial.shown) == list(range(models)) for trial in asked)
    assert spread([count for row in at_places(asked, models) for count in row]) <= 1
    # Whoever stops early has seen balanced places too, up to the rows of the square at hand.
    some = asked[: 1 + seed % photos]
    assert spread([count for row in at_places(some, models) for count in row]) <= 1


@settings(max_examples=25, deadline=None)
@given(**SOME)
def test_pairs_show_every_two_of_each_photo_once_at_balanced_sides(models, photos, seed, rater) -> None:
    asked = trials("pairs", models=models, photos=photos, seed=seed, rater=rater)
    every = Counter((trial.photo, frozenset(trial.shown)) for trial in asked)
    assert set(every.values()) == {1}
    assert set(every) == {
        (p, frozenset(two)) for p in range(photos) for two in combinations(range(models), 2)
    }
    for two in combinations(range(models), 2):
        left = Counter(trial.shown[0] for trial in asked if set(trial.shown) == set(two))
        assert spread([left[model] for model in two]) <= 1
    for left, right in at_places(asked, models):
        assert abs(left - right) <= 1
    first = [trial.photo for trial in asked[:photos]]
    assert sorted(first) == list(range(photos))  # all photos before any comes again


def test_raters_differ_and_one_rater_does_not() -> None:
    def order(rater: str, seed: int = 0) -> list[Trial]:
        return trials("pick", models=3, photos=12, seed=seed, rater=rater)

    assert order("ada") == order("ada")
    assert order("ada") != order("bo")
    assert order("ada") != order("ada", seed=1)
    assert [t.photo for t in order("ada")] != [t.photo for t in order("bo")]


def test_over_many_raters_every_model_stands_at_every_place_of_every_photo() -> None:
    """Four photos and three models do not divide; what is left over falls on all alike."""
    seen = Counter[tuple[int, int]]()
    for rater in range(120):
        asked = trials("pick", models=3, photos=4, seed=0, rater=str(rater))
        seen.update((model, place) for trial in asked for place, model in enumerate(trial.shown))
    assert len(seen) == 9
    assert max(abs(count / 480 - 1 / 3) for count in seen.values()) < 0.05


def test_the_next_place_cannot_be_told_from_this_one() -> None:
    """With two models a fixed alternation would give the sides away."""
    for mode in ("pick", "pairs"):
        stays = Counter[bool]()
        for rater in range(100):
            asked = trials(mode, models=2, photos=20, seed=0, rater=str(rater))
            stays.update(one.shown == two.shown for one, two in pairwise(asked))
        assert 0.15 < stays[True] / sum(stays.values()) < 0.85
