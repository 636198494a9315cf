"""The leaderboard's tables, out of reports written by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from toonlab.reports.leaderboard import Board, Entry, markdown, ratio_of, score_of, spreadsheet


def report(kid: float, as_is: float = 0.1, interval: tuple[float, float] | None = None) -> dict[str, Any]:
    def score(value: float, untouched: float | None, floor: float | None) -> dict[str, Any]:
        return {"value": value, "source_as_is": untouched, "real_vs_real": floor, "n": 75}

    return {
        "scores": {
            "kid_std_x": score(9.0, 9.0, 9.0),
            "kid_x": score(kid, as_is, -0.002),
            "mmd2_biased_x": score(8.0, 8.0, 8.0),
            "mmd_x": score(0.25, 0.29, 0.1),
            "nn1_x": score(0.9, 0.95, 0.42),
            "nn1_real_x": score(0.8, 0.9, 0.5),
            "nn1_fake_x": score(1.0, 1.0, 0.34),
            "content_x": score(0.5, 0.0, None),
        },
        "intervals": {"kid_x": list(interval)} if interval else {},
        "protocol": {
            "images": {"n": 75, "sources": 116, "targets": 151},
            "features": {"extractor": "x", "num_features": 2, "input": "224"},
        },
        "about": {},
    }


def board(*entries: Entry) -> Board:
    return Board(entries, ["validation"], "film.mp4", (720, 1280), {"device": "cpu", "size": 256})


def entry(name: str, **about: Any) -> Entry:
    film = {"scores": {"warp_error": {"value": 0.02}}}
    return Entry(name, {"validation": report(**about)}, film, 1_467_075, 114.8, 1234.5)


def test_the_ratio_is_in_units_of_the_untouched_photos_and_so_is_its_interval() -> None:
    found = ratio_of(report(0.05, 0.2, (0.04, 0.08)))
    assert found == (0.25, (pytest.approx(0.2), pytest.approx(0.4)))
    assert ratio_of(report(0.05, -0.001)) is None  # photos that cannot be told from the style


def test_names_are_not_mixed_up_with_longer_ones() -> None:
    told = report(0.05)
    assert score_of(told, "kid").value == 0.05  # type: ignore[union-attr]
    assert score_of(told, "mmd").value == 0.25  # type: ignore[union-attr]
    assert score_of(told, "nn1").value == 0.9  # type: ignore[union-attr]
    assert score_of(told, "fid") is None


def test_the_best_comes_first_and_baselines_last() -> None:
    text = markdown(board(entry("worse", kid=0.09), entry("better", kid=0.04, interval=(0.03, 0.05))))
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| better",
        "| worse",
        "| *photos as they are*",
        "| *validation against itself*",
    ]
    assert (
        "| 0.4 [0.3, 0.5] | 0.04 [0.03, 0.05] | 0.25 | 0.90 (0.80, 1.00) | 0.5 | 0.02 | 1.47 | 115 | 1,234 |"
        in text
    )
    assert "n = 75 images a set, of 116 photos painted at 256 px" in text
    assert len({row.count("|") for row in rows}) == 1


def test_what_is_not_known_is_left_empty() -> None:
    bare = entry("flow", kid=0.05)._replace(film=None, parameters=None, gmacs=None, milliseconds=None)
    text = markdown(board(bare))
    assert "| 0.5 |  |  |  |  |" in text


def test_the_canonical_fid_is_a_column_of_its_own_or_says_that_it_is_not_there() -> None:
    mine = entry("mine", kid=0.05)
    assert "Inception" not in markdown(board(mine))  # not asked for
    without = markdown(board(mine)._replace(no_canonical="nobody has the weights"))
    assert "| FID of Inception ↓ |" in without
    assert without.count("| no weights |") == 3  # the network, the photos, the style against itself
    assert "FID: not computed; nobody has the weights." in without

    fid = {"value": 123.4, "source_as_is": 150.0, "real_vs_real": 90.0, "n": 75}
    kid = {"value": 0.11, "source_as_is": 0.2, "real_vs_real": 0.0, "n": 75}
    inception = {"scores": {"kid": kid, "fid": fid}, "intervals": {"fid": [120.0, 130.0]}}
    known = board(mine._replace(canonical={"validation": inception}))
    rows = [line for line in markdown(known).splitlines() if line.startswith("| ")]
    place = rows[0].split(" | ").index("FID of Inception ↓")
    assert [row.split(" | ")[place] for row in rows[2:]] == ["123.4 [120, 130]", "150", "90"]
    assert len({row.count("|") for row in rows}) == 1
    table = list(csv.DictReader(io.StringIO(spreadsheet(known))))
    assert [row["value"] for row in table if row["score"] in ("fid", "kid")] == ["123.4", "0.11"]


def test_the_spreadsheet_has_every_score() -> None:
    rows = list(csv.DictReader(io.StringIO(spreadsheet(board(entry("a", kid=0.05, interval=(0.04, 0.06)))))))
    kid = next(row for row in rows if row["score"] == "kid_x")
    assert (kid["network"], kid["style"], kid["value"], kid["low"], kid["untouched"]) == (
        *("a", "validation", "0.05", "0.04", "0.1"),
    )
    assert {row["score"]: row["value"] for row in rows if not row["style"]} == {
        "warp_error": "0.02",
        "parameters": "1467075",
        "gmacs": "114.8",
        "milliseconds": "1234.5",
    }
