"""Balance, counted; and what must not change once a rater has begun."""

from collections import Counter
from itertools import accumulate, combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab.votes.design import Trial, pools, trials, williams

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
    # Whoever stops early has seen balanced places too, up to the pool at hand.
    for end in accumulate(pools(models, photos)):
        assert spread([count for row in at_places(asked[:end], models) for count in row]) <= 1


@given(models=st.integers(2, 9), photos=st.integers(1, 400))
def test_pools_are_four_to_seven_squares(models, photos) -> None:
    sizes = pools(models, photos)
    assert sum(sizes) == photos
    assert all(size % models == 0 for size in sizes[:-1])
    if models == 2 or photos < 8 * models:
        assert len(sizes) == 1
    else:
        assert all(4 <= size // models <= 7 for size in sizes)


@settings(max_examples=25, deadline=None)
@given(models=st.integers(2, 7), rounds=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_picks_are_balanced_for_neighbours_over_whole_squares(models, rounds, seed) -> None:
    photos = rounds * models * len(williams(models))
    asked = trials("pick", models=models, photos=photos, seed=seed, rater="ada")
    neighbours = Counter(pair for trial in asked for pair in pairwise(trial.shown))
    assert set(neighbours.values()) == {rounds * len(williams(models))}


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


@settings(max_examples=60, deadline=None)
@given(**SOME)
def test_pairs_are_balanced_in_each_round_too(models, photos, seed, rater) -> None:
    """For raters who stop early: within one of each round, within two where a photo is left over."""
    asked = trials("pairs", models=models, photos=photos, seed=seed, rater=rater)
    rounds = [asked[start : start + photos] for start in range(0, len(asked), photos)]
    assert len(rounds) == models * (models - 1) // 2
    most = 1 + photos % 2
    for number, turn in enumerate(rounds):
        assert sorted(trial.photo for trial in turn) == list(range(photos))
        assert all(abs(left - right) <= most for left, right in at_places(turn, models))
        ordered = Counter(trial.shown for trial in turn)
        assert all(abs(count - ordered[pair[::-1]]) <= most for pair, count in list(ordered.items()))
        each = Counter(frozenset(trial.shown) for trial in turn)
        assert spread([each[frozenset(two)] for two in combinations(range(models), 2)]) <= 2
        if photos % 2 == 0:  # and after every two rounds each pair exactly
            so_far = [trial for turn in rounds[: number + 1] for trial in turn]
            assert all(abs(left - right) <= 1 for left, right in at_places(so_far, models))
            if number % 2 or number + 1 == len(rounds):
                ordered = Counter(trial.shown for trial in so_far)
                assert all(count == ordered[pair[::-1]] for pair, count in list(ordered.items()))


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


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_of_two_models_earlier_questions_do_not_tell_the_next(seed) -> None:
    """A rater knows how often each order came, and what came last: too little but at the end."""
    photos = 20
    for mode in ("pick", "pairs"):
        seen = [
            [trial.shown[0] for trial in trials(mode, models=2, photos=photos, seed=seed, rater=str(rater))]
            for rater in range(400)
        ]
        for at in range(1, photos):
            stays = sum(sides[at] == sides[at - 1] for sides in seen) / len(seen)
            assert 0.35 < stays < 0.6  # (10 - 1) / (20 - 1) = 0.47 where all orders are equally likely
        for at in range(4):
            assert len({(*sides[:at], sides[at]) for sides in seen}) == 2 ** (at + 1)  # both after everything
        # By count alone it is settled only where one order is used up.
        for at in range(photos):
            for ones in range(photos // 2 + 1):
                after = {sides[at] for sides in seen if sum(sides[:at]) == ones}
                known = ones == photos // 2 or at - ones == photos // 2
                alike = sum(sum(sides[:at]) == ones for sides in seen)
                assert len(after) == 1 if known and alike else alike < 60 or len(after) == 2


def test_of_three_models_the_next_row_is_open() -> None:
    """Six rows of two squares: after each, any may come, itself too."""
    following = Counter[tuple[tuple[int, ...], tuple[int, ...]]]()
    for rater in range(60):
        asked = trials("pick", models=3, photos=24, seed=0, rater=str(rater))
        following.update((one.shown, two.shown) for one, two in pairwise(asked))
    assert len(following) == 36
