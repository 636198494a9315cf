"""Sweeps of real trainings on each engine: the same runs, wherever they take place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from commands import SMALL, Cli, command, environment
from remotely import wait_for

SLURM = Path(__file__).parents[1] / "sweeps" / "slurm.sh"
SWEEP = (
    *SMALL,
    "data.count=4",
    "iterations=4",
    "+sweep=seeds",
    "seed=0,1",
    "-m",
)
REPORT = "hydra.launcher.report=false"

pytestmark = pytest.mark.slow

LAUNCHERS = {
    "submitit_local": (),
    "ray": ("hydra.launcher.start={num_cpus: 2, num_gpus: 0}", "hydra.launcher.cpus_per_job=1"),
    "submitit_slurm": ("trainer=cpu", "hydra.launcher.cpus_per_task=1", "hydra.launcher.poll_seconds=1"),
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not (shutil.which("slurmctld") and shutil.which("munged") and os.geteuid() == 0):
        pytest.skip("needs slurm-wlm, munge and root")
    folder = tmp_path / "slurm"
    monkeypatch.setenv("SLURM_PORT", "37817")
    subprocess.run([SLURM, "start", folder], check=True, timeout=60)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    yield
    subprocess.run([SLURM, "stop", folder], check=False, timeout=60)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep on this host, one after another."""
    folder = tmp_path_factory.mktemp("here")
    words = command("train", *SWEEP, REPORT, "hydra/launcher=cpus", f"hydra.sweep.dir={folder / 'sweep'}")
    subprocess.run(words, check=True, env=environment(folder), cwd=folder, timeout=300)
    return folder / "sweep"


def weights(run: Path) -> dict[str, torch.Tensor]:
    whole = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    found: dict[str, torch.Tensor] = whole["state_dict"]
    return found


def check_same(ours: Path, theirs: Path) -> None:
    for name in ("0_whitebox", "1_whitebox"):
        one, other = weights(ours / name), weights(theirs / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    first, second = weights(ours / "0_whitebox"), weights(ours / "1_whitebox")
    assert any(not torch.equal(first[key], second[key]) for key in first)  # which seeds do change


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_same_weights_as_here(
    cli: Cli, tmp_path: Path, here: Path, launcher: str, request: pytest.FixtureRequest
) -> None:
    if launcher == "submitit_slurm":
        request.getfixturevalue("slurm")
    sweep = tmp_path / "sweep"
    words = [*SWEEP, REPORT, f"hydra/launcher={launcher}", *LAUNCHERS[launcher], f"hydra.sweep.dir={sweep}"]
    result = cli("train", *words)
    assert result.returncode == 0, result.stderr
    check_same(sweep, here)
    kept = json.loads((sweep / "sweep.json").read_text())
    assert f"hydra/launcher={launcher}" in kept["how"]
    assert not [line for line in result.stderr.splitlines() if "ray" in line.lower() and "INFO" in line]


@pytest.mark.usefixtures("slurm")
def test_a_job_that_slurm_queues_again_is_the_same_run_of_wandb(cli: Cli, tmp_path: Path, here: Path) -> None:
    """Followed by a second command, which is told the folder alone, after the first was killed."""
    sweep = tmp_path / "sweep"
    words = [*SMALL, "data.count=4", "save_every=1", "iterations=400", "seed=0", "-m", "logger=wandb"]
    words += ["hydra/launcher=submitit_slurm", *LAUNCHERS["submitit_slurm"], f"hydra.sweep.dir={sweep}"]
    first = subprocess.Popen(command("train", *words, REPORT), env=environment(tmp_path), cwd=tmp_path)
    run = sweep / "0_whitebox"
    wait_for(lambda: (run / "checkpoints" / "last.ckpt").exists(), 200)
    ids = _wandb(run)
    ticket = json.loads((sweep / "sweep.json").read_text())["jobs"][0]["ticket"]
    first.kill()
    first.wait()
    subprocess.run(["scancel", "--signal=USR2", ticket], check=True)  # as before the end of its time
    wait_for(lambda: _state(ticket) == "PENDING", 90)
    assert json.loads((run / "result.json").read_text())["status"] == "interrupted"
    saved = (run / "checkpoints" / "last.ckpt").stat().st_mtime
    follow = subprocess.Popen(
        command("train", "-m", f"resume={sweep}"), env=environment(tmp_path), cwd=tmp_path
    )
    wait_for(lambda: json.loads((sweep / "sweep.json").read_text())["jobs"][0]["state"] == "queued", 60)
    subprocess.run(["sleep", "13"], check=True)  # till the node has ended what was there
    subprocess.run(["scontrol", "update", f"job={ticket}", "starttime=now"], check=True)
    wait_for(lambda: (run / "checkpoints" / "last.ckpt").stat().st_mtime > saved, 120)
    follow.send_signal(signal.SIGINT)
    assert follow.wait(60) == 130
    assert _state(ticket) == "RUNNING"  # it goes on without us
    subprocess.run(["scancel", ticket], check=True)
    wait_for(lambda: _state(ticket) in ("", "CANCELLED"), 90)
    assert _wandb(run) == ids
    assert len(list(sweep.glob("0_whitebox*"))) == 1


def _state(ticket: str) -> str:
    words = ["squeue", "--noheader", "--format=%T", f"--jobs={ticket}"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _wandb(run: Path) -> set[str]:
    """Return the ids of the run's files, the superseded ones among them."""
    return {path.name.rsplit("-", 1)[1] for path in (run / "wandb").rglob("offline-run-*") if path.is_dir()}


def test_what_is_missing_or_wrong_is_a_line(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", *SWEEP, "hydra/launcher=ray", "hydra.launcher.gpus_per_job=2")
    assert result.returncode == 2
    assert "hydra.launcher.gpus_per_job=2: above 0, at most 1" in result.stderr
