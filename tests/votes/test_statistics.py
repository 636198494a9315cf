"""Against numbers by hand, from papers, and from other people's programs."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toonlab.metrics.paired_table import wilson
from toonlab.votes.agreement import both_ways, fleiss, krippendorff
from toonlab.votes.correlation import agreement
from toonlab.votes.shares import equal_shares, no_preference
from toonlab.votes.strengths import Choice, chances_of_best, intervals, strength_draws, strengths


def test_wilson_by_hand_and_at_the_ends() -> None:
    # 41 of 150, source 004's winner; statsmodels proportion_confint(41, 150, method="wilson")
    assert wilson(41, 150) == pytest.approx((0.2083414320, 0.3496450787), abs=1e-9)
    assert wilson(0, 10) == (0.0, pytest.approx(3.8414588 / (10 + 3.8414588)))
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(of=st.integers(1, 10_000), part=st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_inside(of: int, part: float) -> None:
    count = round(part * of)
    low, high = wilson(count, of)
    assert 0 <= low <= count / of <= high <= 1
    expected = stats.binomtest(count, of).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_source_004s_votes_are_not_equal_shares() -> None:
    counts = [18, 25, 11, 41, 26, 6, 23]
    found = equal_shares(counts)
    assert found is not None
    expected = stats.chisquare(counts)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.statistic == pytest.approx(sum((c - 150 / 7) ** 2 for c in counts) / (150 / 7))
    assert found.freedom == 6
    assert found.p == pytest.approx(expected.pvalue)
    assert equal_shares([0, 0]) is None
    assert equal_shares([5]) is None


def test_pairs_of_two_models_are_a_sign_test() -> None:
    """Of one pair the statistic is ((wins - losses)² / n)."""
    found = no_preference([14, 6], {frozenset((0, 1)): 20})
    assert found is not None
    assert found.statistic == pytest.approx((14 - 6) ** 2 / 20)
    assert found.freedom == 1


def test_balanced_pairs_are_durbins_test() -> None:
    """k models, each two compared m times: D = 4/(m k) Σ (wins - m (k-1)/2)²."""
    k, m, wins = 4, 5, [12, 8, 6, 4]
    found = no_preference(wins, {frozenset(two): m for two in combinations(range(k), 2)})
    assert found is not None
    assert found.statistic == pytest.approx(4 / (m * k) * sum((w - m * (k - 1) / 2) ** 2 for w in wins))
    assert found.freedom == k - 1


def picks(counts: list[int]) -> list[Choice]:
    everyone = tuple(range(len(counts)))
    every = [model for model, count in enumerate(counts) for _ in range(count)]
    return [Choice(photo, everyone, model) for photo, model in enumerate(every)]


def pairs(beats: dict[tuple[int, int], int]) -> list[Choice]:
    every = [pair for pair, count in beats.items() for _ in range(count)]
    return [Choice(photo, pair, pair[0]) for photo, pair in enumerate(every)]


def test_of_all_shown_the_strength_is_the_share() -> None:
    counts = [18, 25, 11, 41, 26, 6, 23]
    assert strengths(picks(counts), 7, prior=0) == pytest.approx(np.array(counts) / 150)


def test_of_two_models_it_is_the_share_of_wins() -> None:
    assert strengths(pairs({(0, 1): 3, (1, 0): 1}), 2, prior=0) == pytest.approx([0.75, 0.25])


def test_bradley_terry_as_choix_has_it() -> None:
    """`choix.mm_pairwise(4, data, tol=1e-14)` of choix 0.4.1, as shares of the exponentials."""
    beats = {
        (0, 1): 7,
        (1, 0): 3,
        (0, 2): 5,
        (2, 0): 5,
        (1, 2): 6,
        (2, 1): 2,
        (2, 3): 4,
        (3, 2): 1,
        (3, 0): 2,
    }
    assert strengths(pairs(beats), 4, prior=0) == pytest.approx(
        [0.2980996218, 0.270680476, 0.239912804, 0.1913070983], abs=1e-7
    )


def test_choices_of_several_as_choix_has_them() -> None:
    """`choix.mm_top1(4, data, tol=1e-14)` of choix 0.4.1, over sets of different sizes."""
    data = [
        (0, 1, 2),
        (0, 1, 2, 3),
        (1, 0, 3),
        (2, 0, 1, 3),
        (3, 1),
        (1, 2),
        (0, 3),
        (2, 3, 0),
        (1, 2, 3),
        (3, 0),
    ]
    choices = [Choice(photo, shown, shown[0]) for photo, shown in enumerate(data)]
    assert strengths(choices, 4, prior=0) == pytest.approx(
        [0.2856959275, 0.3030648071, 0.2562013493, 0.1550379162], abs=1e-7
    )


def test_the_fit_is_where_the_likelihood_is_stationary() -> None:
    """Wins are what the strengths expect: Σ over votes of w_i / Σ w of the shown = wins of i (+ prior)."""
    rng = np.random.default_rng(0)
    choices = []
    for photo in range(60):
        shown = tuple(int(i) for i in rng.permutation(5)[: rng.integers(2, 6)])
        choices.append(Choice(photo, shown, shown[int(rng.integers(len(shown)))]))
    prior = 0.1
    w = strengths(choices, 5, prior=prior)
    assert w.sum() == pytest.approx(1)
    for i in range(5):
        expected = sum(w[i] / w[list(c.shown)].sum() for c in choices if i in c.shown)
        expected += sum(2 * prior * w[i] / (w[i] + w[j]) for j in range(5) if j != i)
        assert expected == pytest.approx(sum(c.picked == i for c in choices) + 4 * prior, abs=1e-6)


def test_who_never_wins_and_who_never_loses_stay_finite() -> None:
    w = strengths(pairs({(0, 1): 5, (1, 2): 5}), 3)
    assert 0 < w[2] < w[1] < w[0] < 1


def test_intervals_widen_with_fewer_photos_and_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.5, 0.3, 0.2])
    held, trials = 0, 30
    for _ in range(trials):
        drawn = [Choice(photo, (0, 1, 2), int(rng.choice(3, p=truth))) for photo in range(80)]
        spans = intervals(strength_draws(drawn, 3, resamples=200, seed=0))
        held += spans[0][0] <= truth[0] <= spans[0][1]
    assert held / trials > 0.85
    one_each = [Choice(photo, (0, 1, 2), photo % 2) for photo in range(12)]
    ten_each = [Choice(photo, (0, 1, 2), photo % 2) for photo in range(12) for _ in range(10)]
    widths = [
        np.ptp(intervals(strength_draws(each, 3, resamples=300, seed=0))[0]) for each in (one_each, ten_each)
    ]
    # Ten raters who all say the same of a photo say little more than one.
    assert widths[1] > 0.8 * widths[0]


def test_chances_of_best_share_ties() -> None:
    draws = np.array([[0.5, 0.5, 0.0], [0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]])
    assert chances_of_best(draws) == pytest.approx([2.5 / 4, 0.5 / 4, 1 / 4])


FLEISS_1971 = [
    *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
    *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
]
"""Ten subjects, fourteen raters, five categories; κ = 0.210 (the worked example of Wikipedia)."""


def ratings(table: list[list[int]]) -> list[dict[str, int]]:
    items = []
    for row in table:
        said = [kind for kind, count in enumerate(row) for _ in range(count)]
        items.append({str(rater): kind for rater, kind in enumerate(said)})
    return items


def test_fleiss_as_printed() -> None:
    assert fleiss(ratings(FLEISS_1971)) == pytest.approx(0.2099, abs=1e-4)


def test_fleiss_by_hand() -> None:
    """Two raters, AA AB BB: P = 2/3, both letters half of the time, κ = (2/3 - 1/2) / (1/2) = 1/3."""
    items = [{"x": 0, "y": 0}, {"x": 0, "y": 1}, {"x": 1, "y": 1}]
    assert fleiss(items) == pytest.approx(1 / 3)
    assert fleiss([*items, {"x": 1}]) == pytest.approx(1 / 3)  # y was not asked: left out
    assert fleiss([{"x": 0}]) is None
    assert fleiss([{"x": 0, "y": 0}]) is None  # one word only: nothing to tell agreement from habit


def test_krippendorff_as_printed() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: nominal alpha = 0.743."""
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3]
    c = [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None]
    items = [
        {rater: value for rater, value in zip("abcd", row, strict=True) if value is not None}
        for row in zip(a, b, c, d, strict=True)
    ]
    assert krippendorff(items) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff([{"a": 1}, {"b": 2}]) is None


def test_of_pairs_chance_is_one_half_whatever_wins() -> None:
    """All say A over B, B over C, A over C: full agreement, not "they always say the first"."""
    same = [{"x": 0, "y": 0}] * 3
    assert fleiss(same) is None
    assert fleiss(both_ways(same)) == 1
    # Three of four pairs alike: (3/4 - 1/2) / (1/2)
    assert fleiss(both_ways([*same, {"x": 0, "y": 1}])) == pytest.approx(0.5)


def test_a_metric_that_orders_as_people_do() -> None:
    found = agreement([0.5, 0.3, 0.2], [1.0, 2.0, 3.0], "lower")
    assert found == (3, pytest.approx(1), pytest.approx(1), pytest.approx(2 / 6))  # and its reverse, of 3!
    found = agreement([0.1, 0.2, 0.3, 0.4], [1.0, 0.5, 0.6, 0.55], "toward 1/2")
    expected = stats.spearmanr([0.1, 0.2, 0.3, 0.4], [-0.5, 0, -0.1, -0.05])
    assert found is not None
    assert found.spearman == pytest.approx(expected.statistic)
    assert agreement([0.5, 0.5], [1, 2], "lower") is None
    assert agreement([0.5, 0.3, 0.2], [1, 1, 1], "lower") is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=12))
def test_ranks_and_ties_as_scipy_has_them(points: list[tuple[int, int]]) -> None:
    votes, scores = zip(*points, strict=True)
    found = agreement(votes, scores, "higher")
    if found is None:
        assert 1 in (len(set(votes)), len(set(scores)))
        return
    assert found.spearman == pytest.approx(stats.spearmanr(votes, scores).statistic, abs=1e-9)
    assert found.kendall == pytest.approx(stats.kendalltau(votes, scores).statistic, abs=1e-9)
    assert 0 < found.p <= 1


def test_exact_chances_by_counting() -> None:
    """Of 4! orders of four, ρ = 0.8 or beyond, on either side: 1 of 1.0 and 3 of 0.8, twice."""
    found = agreement([1, 2, 3, 4], [1, 2, 4, 3], "higher")
    assert found is not None
    assert found.spearman == pytest.approx(0.8)
    assert found.p == pytest.approx(8 / 24)
    assert math.isclose(found.kendall, 4 / 6)
