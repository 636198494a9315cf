"""Shares by hand, against scipy, and on planted truths."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from toonlab.reports.importance import LEAST, MANY, importance, together


def test_variance_between_groups_by_hand() -> None:
    # Means 2 and 6 about 4: between (4 + 4) * 2 = 16; within 1 + 1 + 1 + 1 = 4.
    (share,) = importance({"tv": [1, 1, 2, 2]}, [1, 3, 5, 7]) or ()
    assert share.share == pytest.approx(16 / 20)
    assert share.how == "η²"
    assert share.trend == pytest.approx(spearmanr([1, 1, 2, 2], [1, 3, 5, 7]).statistic)
    assert share.chance == pytest.approx(1 / 3, abs=0.05)  # 2 of the 6 ways to part them in halves


def test_ranks_where_no_value_is_repeated() -> None:
    values, scores = [1, 10, 100, 1000, 5000], [0.5, 0.4, 0.41, 0.2, 0.1]
    (share,) = importance({"tv": values}, scores) or ()
    assert share.share == pytest.approx(spearmanr(values, scores).statistic ** 2)
    assert share.how == "ρ²"
    assert share.trend == pytest.approx(-0.9)


def test_words_that_are_never_repeated_explain_nothing() -> None:
    (share,) = importance({"method": list("abcd")}, [1, 2, 3, 4]) or ()
    assert (share.share, share.trend, share.chance) == (0.0, None, 1.0)
    assert "cannot be told" in share.how


def test_too_few_or_nothing_to_explain() -> None:
    assert importance({"tv": [1, 2, 3]}, [1, 2, 3]) is None
    assert LEAST == 4
    assert importance({"tv": [1, 1, 1, 1]}, [1, 2, 3, 4]) is None
    assert importance({"tv": [1, 2, 3, 4]}, [1, 1, 1, 1]) is None


def test_a_planted_cause_comes_first_and_noise_is_called_chance() -> None:
    rng = np.random.default_rng(0)
    tv, seeds = [1, 2, 3] * 4, rng.permutation([1, 2, 3, 4] * 3).tolist()
    scores = [value + 0.1 * rng.normal() for value in tv]
    cause, noise = importance({"seed": seeds, "tv": tv}, scores) or ()
    assert (cause.key, noise.key) == ("tv", "seed")
    assert cause.share > 0.9
    assert cause.chance is not None
    assert cause.chance < 0.01
    assert noise.chance is not None
    assert noise.chance > 0.05


def test_a_forest_finds_what_is_not_monotone() -> None:
    rng = np.random.default_rng(1)
    x, word, idle = rng.normal(size=60), rng.choice(["a", "b"], 60), rng.normal(size=60)
    scores = np.abs(x) + (word == "b")
    shares = importance({"idle": idle.tolist(), "x": x.tolist(), "word": word.tolist()}, scores) or ()
    assert len(scores) >= MANY
    by_key = {share.key: share for share in shares}
    assert by_key["idle"].share < 0.05 < min(by_key["x"].share, by_key["word"].share)
    assert sum(share.share for share in shares) <= 1
    assert abs(by_key["x"].trend or 0) < 0.4
    assert by_key["word"].trend is None


def test_a_forest_claims_nothing_of_noise() -> None:
    rng = np.random.default_rng(2)
    shares = importance(
        {"x": rng.normal(size=40).tolist(), "y": rng.normal(size=40).tolist()}, rng.normal(size=40)
    )
    assert sum(share.share for share in shares or ()) < 0.15


def test_values_that_change_together() -> None:
    values = {"a": [1, 1, 2], "b": ["x", "x", "y"], "c": [1, 2, 2]}
    assert together(values) == [("a", "b")]
