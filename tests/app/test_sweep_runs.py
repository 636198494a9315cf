"""Sweeps of real trainings: killed and resumed, they end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import SMALL, Cli, command, environment
from tiny import same
from toonlab.engine.checkpoint import read

SWEEP = (
    *SMALL,
    "save_every=1",
    "data.count=4",
    "seed=1,2",
    "iterations=5",
    "-m",
    "hydra.launcher.report=false",
)


def fake(tmp_path: Path) -> dict[str, str]:
    """Two devices of this test's own: leases are kept in the folder for temporary files."""
    return {"TOONLAB_FAKE_DEVICES": "a,b", "TMPDIR": str(tmp_path)}


def only_sweep(tmp_path: Path) -> Path:
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    return sweep


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)[
        "state_dict"
    ]
    return found


def learned(run: Path) -> dict[str, Any]:
    """All that a run has learned, and what its optimizers remember."""
    kept = read(run)
    return {key: kept[key] for key in ("state_dict", "optimizer_states")}


def states(sweep: Path) -> list[str]:
    return [job["state"] for job in read_manifest(sweep)]


def read_manifest(sweep: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((sweep / "sweep.json").read_text())["jobs"]
    return found


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def reached(sweep: Path) -> list[int]:
    """How many iterations each run has recorded."""
    return [path.read_bytes().count(b"\n") for path in sorted(sweep.glob("*_whitebox/metrics.jsonl"))]


def start(tmp_path: Path, *words: str) -> subprocess.Popen[bytes]:
    own: dict[str, Any] = {
        "cwd": tmp_path,
        "env": environment(tmp_path, **fake(tmp_path)),
        "stderr": subprocess.PIPE,
    }
    return subprocess.Popen(command("train", *words), **own)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_bit(cli: Cli, tmp_path: Path) -> None:
    process = start(tmp_path, *SWEEP)
    while not list(tmp_path.glob("outputs/multirun/*/*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    sweep = only_sweep(tmp_path)
    jobs = _jobs_of(sweep)
    for pid in (process.pid, *jobs):
        _killed(pid)
    process.communicate()
    assert jobs
    result = cli("train", "-m", f"resume={sweep}", **fake(tmp_path))
    assert result.returncode == 0, result.stderr
    assert states(sweep) == ["finished"] * 2
    for seed, run in ((1, "0_whitebox"), (2, "1_whitebox")):
        single = tmp_path / f"single_{seed}"
        words = [*SMALL, "save_every=1", "data.count=4", f"seed={seed}", "iterations=5"]
        assert cli("train", *words, f"hydra.run.dir={single}").returncode == 0
        ours, theirs = weights(sweep / run), weights(single)
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
        assert (sweep / run / "job.log").read_text()
    again = cli("train", "-m", f"resume={sweep}", **fake(tmp_path))  # nothing left to do
    assert again.returncode == 0
    changed = cli("train", "-m", "seed=1,2", f"resume={sweep}", **fake(tmp_path))
    assert changed.returncode == 2
    assert "begun as another sweep" in changed.stderr


KILLS, LENGTH = 20, 150
LONG = (
    *SMALL,
    "save_every=7",
    "data.count=4",
    "seed=1,2,3,4",
    f"iterations={LENGTH}",
    "-m",
    "hydra.launcher.report=false",
)


@pytest.mark.slow
def test_twenty_kills_of_real_trainings_leave_the_weights_of_none(cli: Cli, tmp_path: Path) -> None:
    """`kill -9` for the sweep, for one run, for all at once; what is left goes on until the next one."""
    rng = random.Random(7)
    sweep, calm = tmp_path / "killed", tmp_path / "calm"
    on = ("-m", f"resume={sweep}", "hydra.launcher.report=false")
    process, starts, hit = start(tmp_path, *LONG, f"hydra.sweep.dir={sweep}"), 1, []
    for kill in range(KILLS):
        # Spread over all the work; a few soon after the one before, while everything still starts.
        end = time.monotonic() + (rng.uniform(1, 6) if kill % 4 == 3 else 60)
        due = 4 * LENGTH * (kill + rng.random()) / (KILLS + 1)
        while time.monotonic() < end and sum(reached(sweep)) < due and process.poll() is None:
            time.sleep(0.02)
        while not (sweep / "sweep.json").exists():
            time.sleep(0.05)
        jobs = _jobs_of(sweep)
        victims = [[process.pid], rng.sample(jobs, min(1, len(jobs))), [process.pid, *jobs]][kill % 3]
        hit.append((kill % 3, [pid for pid in victims if _killed(pid)], reached(sweep)))
        if process.pid in victims:
            process.communicate()
        if process.poll() is not None:
            process, starts = start(tmp_path, *on), starts + 1
    assert sum(bool(pids) for _, pids, _ in hit) >= 15, hit  # a few find nobody at work
    said = process.communicate()[1].decode()
    for _ in range(2):  # a run that was killed last is a failed one, to be tried again
        if process.returncode:
            process, starts = start(tmp_path, *on), starts + 1
            said = process.communicate()[1].decode()
    assert process.returncode == 0, said
    assert states(sweep) == ["finished"] * 4

    assert cli("train", *LONG, f"hydra.sweep.dir={calm}", **fake(tmp_path)).returncode == 0
    for run in sorted(path.name for path in calm.glob("*_whitebox")):
        same(learned(sweep / run), learned(calm / run), run)
        assert losses(sweep / run) == losses(calm / run)
        trained = [line["iteration"] for line in losses(sweep / run) if "lr/generator" in line]
        assert trained == list(range(1, LENGTH + 1))
        parts = [sweep / run, *sweep.glob(f"{run}.broken_off_*")]
        ends = sum((part / "job.log").read_text().count(f"Finished {LENGTH}") for part in parts)
        assert ends <= 1  # none, if it was killed between its result and this line
    begun = [f"{job['folder']}: {job['attempts']}" for job in read_manifest(sweep)]
    print(f"{KILLS} kills, {starts} sweeps, attempts {begun}", *hit, sep="\n")  # noqa: T201 (for -s)


@pytest.mark.slow
def test_jobs_of_two_devices_each_end_as_they_would_alone(cli: Cli, tmp_path: Path) -> None:
    each = (
        "method=cartoongan",
        *("method.generator.width=4", "method.generator.blocks=1", "method.discriminator.width=4"),
        *("data=synthetic", "data.batch_size=1", "data.count=4", "iterations=4", "log_every=1"),
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"),
    )
    sweep = tmp_path / "sweep"
    words = (f"hydra.sweep.dir={sweep}", "hydra.launcher.report=false", "hydra/launcher=gpus")
    result = cli("train", *each, "seed=1,2", "-m", *words, **fake(tmp_path))
    assert result.returncode == 0, result.stderr
    assert [(job["state"], job["device"]) for job in read_manifest(sweep)] == [("finished", "a,b")] * 2
    first, second = sweep / "0_cartoongan", sweep / "1_cartoongan"
    assert (first / "result.json").stat().st_mtime < (second / "config.yaml").stat().st_mtime
    for seed, run in ((1, first), (2, second)):
        assert cli("train", *each, f"seed={seed}", f"hydra.run.dir={tmp_path / str(seed)}").returncode == 0
        same(learned(run), learned(tmp_path / str(seed)))
        assert losses(run) == losses(tmp_path / str(seed))


def test_a_job_that_fails_is_told_and_stops_nobody(cli: Cli, tmp_path: Path) -> None:
    words = [
        *SMALL,
        "data.count=4",
        "iterations=1",
        "method.accumulate=0,1",
        "-m",
        "hydra.launcher.report=false",
    ]
    result = cli("train", *words, **fake(tmp_path))
    assert result.returncode == 2
    assert states(only_sweep(tmp_path)) == ["failed", "finished"]
    assert "method.accumulate=0: it counts batches" in result.stderr
    assert "1 of 2 jobs did not finish" in result.stderr


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _jobs_of(sweep: Path) -> list[int]:
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(path, sweep)]


def _is_of(path: Path, sweep: Path) -> bool:
    try:
        return f"{sweep}/".encode() in path.read_bytes()
    except OSError:
        return False
