"""Sweeps of real trainings: killed and resumed, they end as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import SMALL, Cli, command, environment

SWEEP = (
    *SMALL,
    "save_every=1",
    "data.count=4",
    "seed=1,2",
    "iterations=5",
    "-m",
    "hydra.launcher.report=false",
)
FAKE = {"TOONLAB_FAKE_DEVICES": "a,b"}


def only_sweep(tmp_path: Path) -> Path:
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    return sweep


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)[
        "state_dict"
    ]
    return found


def states(sweep: Path) -> list[str]:
    return [job["state"] for job in json.loads((sweep / "sweep.json").read_text())["jobs"]]


def start(tmp_path: Path, *words: str) -> subprocess.Popen[bytes]:
    own: dict[str, Any] = {"cwd": tmp_path, "env": environment(tmp_path, **FAKE), "stderr": subprocess.PIPE}
    return subprocess.Popen(command("train", *words), **own)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_bit(cli: Cli, tmp_path: Path) -> None:
    process = start(tmp_path, *SWEEP)
    while not list(tmp_path.glob("outputs/multirun/*/*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    sweep = only_sweep(tmp_path)
    jobs = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(path, sweep)]
    for pid in (process.pid, *jobs):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    assert jobs
    result = cli("train", "-m", f"resume={sweep}", **FAKE)
    assert result.returncode == 0, result.stderr
    assert states(sweep) == ["finished"] * 2
    for seed, run in ((1, "0_whitebox"), (2, "1_whitebox")):
        single = tmp_path / f"single_{seed}"
        words = [*SMALL, "save_every=1", "data.count=4", f"seed={seed}", "iterations=5"]
        assert cli("train", *words, f"hydra.run.dir={single}").returncode == 0
        ours, theirs = weights(sweep / run), weights(single)
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
        assert (sweep / run / "job.log").read_text()
    again = cli("train", "-m", f"resume={sweep}", **FAKE)  # nothing left to do
    assert again.returncode == 0
    changed = cli("train", "-m", "seed=1,2", f"resume={sweep}", **FAKE)
    assert changed.returncode == 2
    assert "begun as another sweep" in changed.stderr


def test_a_job_that_fails_is_told_and_stops_nobody(cli: Cli, tmp_path: Path) -> None:
    words = [
        *SMALL,
        "data.count=4",
        "iterations=1",
        "method.accumulate=0,1",
        "-m",
        "hydra.launcher.report=false",
    ]
    result = cli("train", *words, **FAKE)
    assert result.returncode == 2
    assert states(only_sweep(tmp_path)) == ["failed", "finished"]
    assert "method.accumulate=0: it counts batches" in result.stderr
    assert "1 of 2 jobs did not finish" in result.stderr


def _is_of(path: Path, sweep: Path) -> bool:
    try:
        return f"{sweep}/".encode() in path.read_bytes()
    except OSError:
        return False
