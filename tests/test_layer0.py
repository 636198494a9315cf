"""Keyed randomness and schedules."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toonlab import keyed
from toonlab.errors import UsageError, did_you_mean
from toonlab.schedules import Hold, Linear, Steps, as_schedule

SRC = Path(__file__).resolve().parents[1] / "src"


def test_equal_keys_equal_draws_in_another_process() -> None:
    code = "from toonlab import keyed; print(keyed.seed_of(7, 'labels', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SRC)
    assert int(other.stdout) == keyed.seed_of(7, "labels", 3)


@given(st.lists(st.tuples(st.integers(0, 9), st.text(max_size=3)), min_size=2, max_size=8, unique=True))
def test_different_keys_different_seeds(keys: list[tuple[int, str]]) -> None:
    assert len({keyed.seed_of(*key) for key in keys}) == len(keys)
    assert all(0 <= keyed.seed_of(*key) < 2**63 for key in keys)


@given(n=st.integers(0, 50), key=st.integers())
def test_permutation_is_one(n: int, key: int) -> None:
    assert sorted(keyed.permutation(n, key)) == list(range(n))
    assert keyed.permutation(n, key) == keyed.permutation(n, key)


def test_linear_and_steps_by_hand() -> None:
    linear = Linear(start=1.0, end=0.0, steps=10, delay=5)
    assert [linear(i) for i in (0, 5, 10, 15, 99)] == [1.0, 1.0, 0.5, 0.0, 0.0]
    steps = Steps(values=[1.0, 0.1, 0.01], at=[10, 20])
    assert [steps(i) for i in (0, 9, 10, 19, 20)] == [1.0, 1.0, 0.1, 0.1, 0.01]
    assert Hold(3)(7) == 3
    assert as_schedule(2)(0) == 2.0
    assert as_schedule(linear) is linear


def test_schedules_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="rising borders"):
        Steps(values=[1.0], at=[3])
    with pytest.raises(ValueError, match="steps >= 1"):
        Linear(start=0, end=1, steps=0)
    for value in ("0.1", True, None):
        with pytest.raises(TypeError, match="a number or a schedule"):
            as_schedule(value)  # type: ignore[arg-type]


def test_did_you_mean_names_the_nearest_or_nothing() -> None:
    assert did_you_mean("surfce", ["texture", "surface"]) == " (did you mean 'surface'?)"
    assert did_you_mean("zzz", ["texture", "surface"]) == ""
    assert issubclass(UsageError, ValueError)


def test_generator_lives_on_its_device() -> None:
    assert keyed.generator("x").device == torch.device("cpu")
