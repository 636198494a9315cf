"""One job of a sweep as a command, and what its folder says of how it ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toonlab.sweeps.engine import Running
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.words import quoted

SWEEP = "TOONLAB_SWEEP"
"""Environment variable of a job: the name of its sweep."""

LOG = "job.log"

_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
"""Exit statuses of a job that was asked to stop, be it while Python was still loading."""

NOT_HANDED_DOWN = {
    *("LOCAL_RANK", "RANK", "WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("HYDRA_FULL_ERROR", "TOONLAB_PARENT"),
}
"""Variables of a distributed parent, of which a job is no rank, and one that our command line sets."""

OF_CLUSTERS = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI")
"""Beginnings of variables of which Lightning would conclude that the cluster starts our ranks."""

KEPT = ("SLURM_JOB_ID", "SLURM_TMPDIR")


def command_for(folder: Path, job: Job, *, script: Path, extra: Sequence[str]) -> list[str]:
    """Make a job's folder and return its command where it stands: from nothing, or from its last checkpoint.

    Args:
        folder: of the run.
        job: which one.
        script: to run, train.py.
        extra: arguments of Hydra's, for all jobs.
    """
    resumable = (folder / "checkpoints" / "last.ckpt").is_file() and (folder / "config.yaml").is_file()
    if not resumable and (folder / "config.yaml").exists():
        _put_aside(folder)
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"resume={folder}"] if resumable else [*extra, *job.overrides, f"hydra.run.dir={quoted(folder)}"]
    return [sys.executable, str(script), *words]


def environment_of(sweep: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return a job's variables: those of this process that are its business, its sweep's name, and `more`."""
    inherited = {name: value for name, value in os.environ.items() if _is_handed_down(name)}
    return inherited | {SWEEP: sweep.name} | dict(more)


def _is_handed_down(name: str) -> bool:
    return name in KEPT or not (name in NOT_HANDED_DOWN or name.startswith(OF_CLUSTERS))


def settle(manifest: Manifest, running: Running) -> None:
    """Write down how a job ended, and let go of its devices."""
    job, code = running.job, running.code()
    folder = manifest.job_folder(job)
    job.seconds = round(job.seconds + time.time() - running.begun, 3)
    status = status_of(folder)
    if status == "finished" and code in (0, None):
        job.state, job.reason = "finished", ""
    elif code in _STOPPED or (status == "interrupted" and code is None):  # be it before there was a status
        job.state, job.reason = "interrupted", running.reason()
    else:
        job.state, job.reason = "failed", running.reason() or reason_of(folder, code)
    running.release()


def status_of(folder: Path) -> str | None:
    """Return what a run says of itself in `result.json`, None without one."""
    try:
        status: str = json.loads((folder / "result.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError):
        return None
    return status


def reason_of(folder: Path, code: int | None) -> str:
    """Return why a job failed: its last line that says so."""
    if code is not None and code < 0:
        return f"killed by signal {-code}"
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        lines = []
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("error: ")]
    words = (errors or said or ["it left no word"])[-1]
    return words.removeprefix("error: ") if code is None else f"{words.removeprefix('error: ')} (exit {code})"


def _put_aside(folder: Path) -> None:
    """Rename a run that ended before its first checkpoint: a new one begins, and nothing is lost."""
    number = sum(1 for _ in folder.parent.glob(f"{folder.name}.broken_off_*"))
    folder.rename(folder.with_name(f"{folder.name}.broken_off_{number + 1}"))
