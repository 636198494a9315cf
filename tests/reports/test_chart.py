"""Charts: every point where it belongs, and spikes kept."""

import math
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reported import sweep_of
from toonlab.reports.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Level,
    Line,
    chart,
    look,
    number,
    thinned,
    ticks,
)
from toonlab.reports.curves import loss_figures, score_figures
from toonlab.reports.scores import Metric


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'polyline points="([^"]+)"', svg)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in found]


def test_points_by_hand() -> None:
    svg = chart("KID", [Line(3, "a <b>", [(0, 0.0), (10, 1.0)])])
    ((first, last),) = points_of(svg)
    assert first[0] == LEFT
    assert last[0] == WIDTH - RIGHT
    height = HEIGHT - TOP - BOTTOM
    # The value axis has 5 % of its range to spare on each side.
    assert first[1] == pytest.approx(HEIGHT - BOTTOM - height * 0.05 / 1.1, abs=0.06)
    assert last[1] == pytest.approx(TOP + height * 0.05 / 1.1, abs=0.06)
    root = ElementTree.fromstring(svg)
    assert root.find(".//g").attrib == {"class": "line c3 d0", "data-run": "3"}
    assert root.find(".//g/title").text == "a <b>: 1 at 10"


def test_a_logarithmic_scale_puts_equal_ratios_at_equal_distances() -> None:
    ((a, b, c),) = points_of(chart("x", [Line(0, "a", [(0, 1.0), (1, 10.0), (2, 100.0)])], log=True))
    assert a[1] - b[1] == pytest.approx(b[1] - c[1], abs=0.11)


def test_single_points_flat_lines_and_levels_are_drawn() -> None:
    svg = chart("x", [Line(0, "a", [(5, 2.0)]), Line(9, "b", [(5, 2.0), (6, 2.0)])], [Level("as is", 4.0)])
    ElementTree.fromstring(svg)
    assert svg.count("<circle") == 1
    assert "as is" in svg
    assert "nan" not in svg


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=2000))
def test_thinning_keeps_the_extremes_the_ends_and_the_order(values: list[float]) -> None:
    points = list(enumerate(values))
    kept = thinned(points)
    assert len(kept) <= POINTS + 2
    assert kept == sorted(set(kept))
    assert set(kept) <= set(points)
    assert kept[-1] == points[-1]
    assert {min(y for _, y in kept), max(y for _, y in kept)} == {min(values), max(values)}


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_few_round_and_inside(low: float, width: float, about: int) -> None:
    high = low + width
    found = ticks(low, high, about)
    if not high > low + 1e-9 * abs(low):
        return
    assert len(found) <= about + 1
    slack = 1e-6 * width + 1e-9 * abs(low)
    assert all(low - slack <= tick <= high + slack for tick in found)
    for one, two in pairwise(found):
        mantissa = (two - one) / 10 ** math.floor(math.log10(two - one) + 1e-6)
        assert min(abs(mantissa - step) for step in (1, 2, 5, 10)) < 0.01


def test_numbers_for_a_reader() -> None:
    assert [number(v) for v in (0, 0.12345, 12345.6, 1.5e7, 1e-9)] == [
        "0",
        "0.1235",
        "12,346",
        "1.5e+07",
        "1e-09",
    ]


def test_the_first_32_runs_look_different() -> None:
    assert len({look(run) for run in range(32)}) == 32


def test_which_records_become_charts(tmp_path: Path) -> None:
    runs = sweep_of(tmp_path, [1, 2])
    losses = loss_figures(runs)
    assert [(figure.title, figure.note) for figure in losses] == [
        ("total", "generator"),
        ("total", "discriminator"),
    ]
    assert [len(line) for line in points_of(losses[0].svg)] == [12, 12]
    (kid,) = score_figures(runs, [Metric("kid_net", "KID", "lower"), Metric("fd_net", "FD", "lower")])
    assert (kid.title, kid.note) == ("KID", "validation, better ↓")
    assert "as is" in kid.svg
    assert kid.svg.count("<circle") == 2
