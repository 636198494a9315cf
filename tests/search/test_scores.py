"""What a search reads of a run: its validations as they come, and which way is better."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from toonlab.errors import UsageError
from toonlab.search.scores import Metric, Validations, direction_of


def line(iteration: int, **scores: float) -> str:
    return json.dumps({"iteration": iteration, **{f"val/{name}": score for name, score in scores.items()}})


def test_validations_are_read_once_and_whole(tmp_path: Path) -> None:
    path, follow = tmp_path / "metrics.jsonl", Validations(tmp_path)
    assert follow.new() == []  # there is no file yet
    path.write_text(f'{{"iteration": 1, "loss": 2}}\n{line(2, kid=0.5)}\n{line(4, kid=0.4)[:9]}')
    assert follow.new() == [{"iteration": 2, "val/kid": 0.5}]
    assert follow.new() == []
    with path.open("a") as file:
        file.write(line(4, kid=0.4)[9:] + "\n")
    assert follow.new() == [{"iteration": 4, "val/kid": 0.4}]
    path.write_text(line(2, kid=0.5) + "\n")  # a resumed run took back what came after its checkpoint
    assert follow.new() == [{"iteration": 2, "val/kid": 0.5}]


def test_the_validation_that_counts_is_a_number() -> None:
    scores = {10: 0.3, 20: 0.2, 30: 0.2, 40: math.nan}
    assert Metric("val/kid", 1, "best").chosen(scores) == (20, 0.2)
    assert Metric("val/kid", -1, "best").chosen(scores) == (10, 0.3)
    assert Metric("val/kid", 1, "last").chosen(scores) == (30, 0.2)
    assert Metric("val/kid", 1, "best").chosen({1: math.nan}) is None


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        (None, "minimize"),
        ("val/kid_effnetlite0", "minimize"),
        ("val/fd_effnetlite0", "minimize"),
        ("val/mmd2_unbiased_effnetlite0", "minimize"),
        ("val/content_effnetlite0", "minimize"),
        ("val/edge_f1", "maximize"),
        ("val/wesnoth/edge_f1", "maximize"),
        ("val/hole_psnr", "maximize"),
        ("val/hole_lpips_effnetlite0", "minimize"),
    ],
)
def test_the_name_says_which_way_is_better(name: str | None, direction: str) -> None:
    assert direction_of(name, "auto") == direction
    assert direction_of(name, "maximize") == "maximize"


@pytest.mark.parametrize("name", ["val/nn1_effnetlite0", "val/kid_std_effnetlite0", "val/mine"])
def test_where_it_does_not_the_user_has_to(name: str) -> None:
    with pytest.raises(UsageError, match=r"say hydra\.sweeper\.direction=minimize or maximize"):
        Metric.asked(name, direction="auto", pick="best")
    assert Metric.asked(name, direction="minimize", pick="best").sign == 1
    with pytest.raises(UsageError, match=r"hydra\.sweeper\.pick=first: use one of best, last"):
        Metric.asked("auto", direction="auto", pick="first")


def test_the_checkpoints_score_is_the_plans_or_else_the_results(tmp_path: Path) -> None:
    metric = Metric.asked("auto", direction="auto", pick="best")
    plan = {"callbacks": {"checkpoints": {"monitor": "val/kid"}}}
    metric.learn(plan, {"iteration": 1, "val/hole_l1": 0.5})  # a method with a score of its own
    assert metric.name is None
    (tmp_path / "result.json").write_text('{"best": {"iteration": 5, "val/hole_l1": 0.4}}')
    metric.learn_from_result(tmp_path)
    assert metric.name == "val/hole_l1"
    metric = Metric.asked("auto", direction="auto", pick="best")
    metric.learn(plan, {"iteration": 1, "val/kid": 0.5})
    assert metric.name == "val/kid"


def test_a_score_that_is_none_is_refused_with_those_there_are() -> None:
    metric = Metric.asked("edge_f2", direction="maximize", pick="best")
    written = {"iteration": 1, "val/kid": 0.5, "val/kid_real_vs_real": 0.1, "val/edge_f1": 0.2}
    with pytest.raises(UsageError, match=r"did you mean 'edge_f1'\?\); there are kid, edge_f1$"):
        metric.learn({}, written)
