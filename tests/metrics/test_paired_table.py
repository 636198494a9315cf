"""Intervals against published values and brute force, and a table of ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from toonlab.metrics.paired_table import PairedTable, bootstrap, wilson


@settings(max_examples=40, deadline=None)
@given(cases=st.integers(1, 200), data=st.data())
def test_wilson_is_scipys(cases: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, cases))
    theirs = binomtest(wins, cases).proportion_ci(0.95, method="wilson")
    assert wilson(wins, cases) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_ends() -> None:
    assert wilson(0, 0) == (0, 1)
    assert all(math.isnan(value) for value in bootstrap(np.array([])))
    assert bootstrap(np.array([2.0, 2.0, 2.0])) == (2, 2)


def test_bootstrap_covers_like_a_normal_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, size=400)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert bootstrap(values) == (low, high)


def table() -> PairedTable:
    made = PairedTable({"hole_lpips": False, "hole_psnr": True})
    for case, ours, theirs in (("a", 0.1, 0.2), ("b", 0.3, 0.3), ("c", 0.5, 0.4), ("d", 0.1, 0.9)):
        made.add("learned", case, {"hole_lpips": ours, "hole_psnr": 20.0})
        made.add("telea", case, {"hole_lpips": theirs, "hole_psnr": 10.0, "more": 1.0})
    made.add("telea", "e", {"hole_lpips": 0.0, "hole_psnr": 30.0})
    return made


def test_duels_are_paired_and_ties_are_not_won() -> None:
    duel = table().duel("learned", "telea", "hole_lpips")
    assert (duel.wins, duel.ties, duel.cases, duel.share) == (2, 1, 4, 0.5)
    assert str(duel) == "50 % [15, 85] of 4, 1 ties"
    assert table().duel("telea", "learned", "hole_lpips").wins == 1
    assert table().duel("learned", "telea", "hole_psnr").share == 1  # higher is better


def test_text_by_hand() -> None:
    lines = table().text("learned").splitlines()
    assert lines[0] == "|  | n | hole_lpips ↓ | hole_psnr ↑ | beaten by learned on hole_lpips |"
    assert lines[2].startswith("| learned | 4 | 0.25 [0.1, 0.4] | 20 [20, 20] |  |")
    assert lines[3].startswith("| telea | 5 | 0.36 [")
    assert lines[3].endswith("| 50 % [15, 85] of 4, 1 ties |")
    assert "beaten" not in table().text()


def test_holes_in_the_table_are_refused() -> None:
    made = table()
    with pytest.raises(ValueError, match="telea, f: no score of hole_psnr"):
        made.add("telea", "f", {"hole_lpips": 0.1})
    with pytest.raises(ValueError, match="no score of hole_lpips"):
        made.add("telea", "f", {"hole_lpips": math.nan, "hole_psnr": 1.0})
    with pytest.raises(ValueError, match="telea, a: twice"):
        made.add("telea", "a", {"hole_lpips": 0.1, "hole_psnr": 1.0})
