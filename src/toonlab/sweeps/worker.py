"""One job of a sweep: a process of its own, started anew or gone on with."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toonlab.sweeps.devices import environment_for
from toonlab.sweeps.leases import Lease, lock
from toonlab.sweeps.manifest import Job, Manifest

SWEEP = "TOONLAB_SWEEP"
"""Environment variable of a job: the name of its sweep."""

LOG = "job.log"

NOT_HANDED_DOWN = {
    *("LOCAL_RANK", "RANK", "WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("HYDRA_FULL_ERROR", "TOONLAB_PARENT"),
}
"""Variables of a distributed parent, of which a job is no rank, and one that our command line sets."""


@dataclasses.dataclass
class Running:
    """A job at work: here, or in a process that outlived the sweep that started it (`process` is None)."""

    job: Job
    lease: Lease | None = None
    process: subprocess.Popen[bytes] | None = None
    begun: float = dataclasses.field(default_factory=time.time)


def claim(manifest: Manifest, job: Job) -> int | None:
    """Make this process the only one that works on a job; None: another one does, be it without a parent."""
    return lock(manifest.folder / ".locks" / job.id)


def start(
    manifest: Manifest,
    job: Job,
    lease: Lease,
    claimed: int,
    *,
    script: Path,
    extra: Sequence[str],
    environment: Mapping[str, str],
) -> Running:
    """Start a job where it stands: from nothing, or from its last checkpoint.

    Args:
        manifest: of the sweep.
        job: which one.
        lease: its devices; the process keeps them.
        claimed: of `claim`; the process keeps it.
        script: to run, train.py.
        extra: arguments of Hydra's, for all jobs.
        environment: more variables.
    """
    folder = manifest.job_folder(job)
    resumable = (folder / "checkpoints" / "last.ckpt").is_file() and (folder / "config.yaml").is_file()
    if not resumable and (folder / "config.yaml").exists():
        _put_aside(folder)
    folder.mkdir(parents=True, exist_ok=True)
    words = (
        [f"resume={folder}"] if resumable else [*extra, *job.overrides, f"hydra.run.dir={_quoted(folder)}"]
    )
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_DOWN}
    own = {SWEEP: manifest.folder.name, **environment_for(lease.devices), **environment}
    job.state, job.device, job.reason, job.attempts = "running", ",".join(lease.devices), "", job.attempts + 1
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (our own script)
            [sys.executable, str(script), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=inherited | own,
            start_new_session=True,  # Ctrl-C is for the sweep, which passes it on
            pass_fds=[claimed, *lease.descriptors],
        )
    os.close(claimed)
    return Running(job, lease, process)


def is_over(manifest: Manifest, running: Running) -> bool:
    """Whether a job has ended."""
    if running.process:
        return running.process.poll() is not None
    claimed = claim(manifest, running.job)
    if claimed is None:
        return False
    os.close(claimed)
    return True


def settle(manifest: Manifest, running: Running) -> None:
    """Write down how a job ended, and let go of its devices."""
    job, code = running.job, running.process.returncode if running.process else None
    folder = manifest.job_folder(job)
    job.seconds = round(job.seconds + time.time() - running.begun, 3)
    status = status_of(folder)
    if status == "finished" and code in (0, None):
        job.state, job.reason = "finished", ""
    elif status == "interrupted" and code in (130, 143, None):
        job.state, job.reason = "interrupted", ""
    else:
        job.state, job.reason = "failed", reason_of(folder, code)
    if running.lease:
        running.lease.release()


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


def _quoted(folder: Path) -> str:
    return "'" + str(folder).replace("'", "\\'") + "'"
