"""Jobs on SLURM, or on this host as if it were a cluster, by way of submitit."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from toonlab.errors import UsageError
from toonlab.sweeps import remote
from toonlab.sweeps.afar import Afar
from toonlab.sweeps.engine import Orphan, Running, orphan
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.needs import gpus_of, imported, python_path
from toonlab.sweeps.remote import RemoteJob
from toonlab.sweeps.slurm_queue import GONE, OVER, WAITING, Queue, cancel, past

FOLDER = ".submitit"
"""Of submitit's scripts, pickles and logs, inside a sweep's folder."""

_LINGER = 900
"""Seconds that a job which SLURM has told to end waits for that, see `SubmititJob`."""


_TERMINATED = (128 + signal.SIGTERM, -signal.SIGTERM)
"""Exit statuses of a run that was sent SIGTERM: in its training, and before it."""


class SubmititJob(RemoteJob):
    """A job that submitit can stop in time and put back into the queue.

    Before a time limit SLURM sends the signal on which submitit calls `checkpoint`. Before a preemption, and
    on scancel, it sends SIGTERM, to all processes alike: the run saves by itself, and whether the job then
    ends or is queued again is SLURM's to say. A job that returned meanwhile would be complete, and never
    queued again.
    """

    def __call__(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)
        code = super().__call__()
        end = time.monotonic() + _LINGER
        while code in _TERMINATED and _on_slurm() and time.monotonic() < end:
            time.sleep(1)
        return code

    def checkpoint(self) -> Any:
        """Let the run save and stop; submitit then queues this same job again, which goes on with it."""
        from submitit.helpers import DelayedSubmission

        self.stop()
        self.wait()
        return DelayedSubmission(self)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if _on_slurm():
            self._told = True  # it has heard it itself
        else:
            self.stop()


def _on_slurm() -> bool:
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


class Submitted(Afar):
    """A job that submitit has submitted."""

    def __init__(self, manifest: Manifest, job: Job, submitted: Any, queue: Queue | None) -> None:
        super().__init__(manifest, job)
        self.ours = queue is None  # SLURM's queue outlives us
        self._submitted, self._queue = submitted, queue

    def has_returned(self) -> bool:
        if self._submitted.paths.result_pickle.exists():
            return True
        return bool(self._queue.is_over(self.job.ticket) if self._queue else self._submitted.done())

    def waits(self) -> bool:
        return self._queue is not None and self._queue.state(self.job.ticket) in WAITING

    def name(self) -> str:
        return self.job.ticket

    def code(self) -> int | None:
        outcome, value = self._outcome()
        return int(value) if outcome == "success" else None

    def fate(self) -> str:
        outcome, value = self._outcome()
        trace = str(value).strip().splitlines()[-1] if outcome == "error" else ""
        if self._queue is None:
            return trace or f"its process ended, see {self._submitted.paths.stderr}"
        state = self._queue.state(self.job.ticket)
        state = past(self.job.ticket) if state == GONE else state
        state = "gone from the queue" if state == GONE else state
        why = trace or self._queue.why(self.job.ticket)
        return f"SLURM job {self.job.ticket}: {state}" + (f", {why}" if why and why != state else "")

    def stop(self, *, at_once: bool) -> None:
        if self._queue and at_once not in self._asked:
            cancel(self.job.ticket, "--state=PENDING")
        super().stop(at_once=at_once)

    def _outcome(self) -> tuple[str, Any]:
        """Return `success` and what the job returned, `error` and a traceback, or nothing of it."""
        try:
            found: tuple[str, Any] = pickle.loads(self._submitted.paths.result_pickle.read_bytes())  # noqa: S301
        except (OSError, EOFError, pickle.UnpicklingError):
            return "", None
        return found


class Submitit:
    """The engine of a cluster.

    Args:
        folder: of the sweep.
        cluster: `slurm`; `local` for processes on this host, to rehearse.
        at_once: jobs queued or running at a time.
        max_timeouts: how often a job may run into its time limit and be queued again.
        parameters: submitit's, for all jobs.
        poll_seconds: between two questions to the queue.
        script: train.py.
        extra: arguments of Hydra's for all jobs.
        environment: variables for all jobs.

    Raises:
        UsageError: submitit or SLURM is not there, or it does not know a parameter.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cluster: str,
        at_once: int,
        max_timeouts: int,
        parameters: Mapping[str, Any],
        poll_seconds: float,
        script: Path,
        extra: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.submitit = imported("submitit", extra="slurm", why=f"hydra/launcher=submitit_{cluster}")
        self.cluster, self.at_once = cluster, at_once
        self.script, self.extra, self.environment = script, extra, environment
        self.queue = Queue(poll_seconds=poll_seconds) if cluster == "slurm" else None
        self.folder = folder / FOLDER
        try:
            self.executor = self.submitit.AutoExecutor(
                folder=self.folder,
                cluster=cluster,
                slurm_max_num_timeout=max_timeouts,
                local_max_num_timeout=max_timeouts,
            )
            self.executor.update_parameters(**parameters)
        except (ValueError, TypeError, NameError, RuntimeError, AssertionError) as error:
            raise UsageError(f"hydra.launcher: {' '.join(str(error).split())}") from error
        self._started: list[Submitted] = []

    def has_room(self, devices: int) -> bool:
        self._started = [each for each in self._started if not each.is_over()]
        return len(self._started) < self.at_once

    def start(self, manifest: Manifest, job: Job) -> Running | None:
        if not self.has_room(job.devices):
            return None
        if orphan(manifest, job):
            return Orphan(manifest, job)
        remote.forget(manifest, job)
        call = SubmititJob(
            manifest.folder, job, script=self.script, extra=self.extra, environment=self.environment
        )
        if self.cluster == "slurm":
            # Its name tells a later parent that it is there, should this one die before it saves the id.
            self.executor.update_parameters(name=_name(manifest, job), gpus_per_node=gpus_of(manifest, job))
        try:
            with self.submitit.helpers.environment_variables(PYTHONPATH=python_path()):
                submitted = self.executor.submit(call)
        except RuntimeError as error:  # submitit's, of a limit or partition that SLURM refuses
            raise OSError(f"sbatch: {_last_line(error).removeprefix('sbatch: error: ')}") from error
        job.ticket, job.state, job.device = submitted.job_id, "queued", submitted.job_id
        if self.queue:
            self.queue.expect(job.ticket, _name(manifest, job))
        started = Submitted(manifest, job, submitted, self.queue)
        self._started.append(started)
        return started

    def outlived(self, manifest: Manifest, job: Job) -> Running | None:
        if not self.queue:
            return orphan(manifest, job)
        known = job.ticket and self.queue.state(job.ticket) not in (GONE, *OVER)
        ticket = job.ticket if known else self.queue.find(_name(manifest, job))
        if not ticket:
            return orphan(manifest, job)
        job.ticket = ticket
        submitted = self.submitit.SlurmJob(folder=self.folder, job_id=ticket)
        found = Submitted(manifest, job, submitted, self.queue)
        self._started.append(found)
        return found

    def farewell(self, left: Sequence[Running]) -> str:
        tickets = " ".join(each.job.ticket for each in left if each.job.ticket)
        if not tickets or not self.queue:
            return ""
        return (
            f"What SLURM has of it, running or queued, goes on; follow it again at any time. To end it:\n"
            f"  scancel {tickets}\n"
        )


def _name(manifest: Manifest, job: Job) -> str:
    return f"toonlab-{manifest.folder.name}-{job.id}"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
