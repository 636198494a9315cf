"""One job of a sweep as something that a cluster's scheduler carries to a node and calls there.

Parent and node share the sweep's folder and nothing else. What one tells the other is a file in it: who works
on a job (`.locks/<id>`, which it holds locked), and that it should stop (`.locks/<id>.stop`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from toonlab.sweeps import worker
from toonlab.sweeps.devices import DEVICE
from toonlab.sweeps.engine import claim, claim_path
from toonlab.sweeps.manifest import Job, Manifest

STOPPED = 130
"""Exit status of a job that was asked to stop, as of one that got Ctrl-C."""

BUSY = 75
"""Exit status of a job on which somebody else works: EX_TEMPFAIL."""

CLUSTERS_OWN = signal.SIGUSR2
"""What SLURM sends ahead of the end, to every process of a job: meant for submitit, death to all others."""

_POLL = 0.2
"""Seconds between two looks at the run, and at whether it should stop."""


class RemoteJob:
    """A job, to be called on the node that runs it; returns the exit status of its command.

    Args:
        sweep: the sweep's folder, on a disk that all nodes see.
        job: which.
        script: train.py.
        extra: arguments of Hydra's for all jobs.
        environment: variables for all jobs.
        patience: seconds to wait for another node that works on the job, which may only be saving.
    """

    def __init__(
        self,
        sweep: Path,
        job: Job,
        *,
        script: Path,
        extra: Sequence[str],
        environment: Mapping[str, str],
        patience: float = 300,
    ) -> None:
        self.manifest = Manifest(sweep, [], [job], {})
        self.job, self.script, self.extra = job, script, list(extra)
        self.environment, self.patience = dict(environment), patience
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_process": None, "_told": False}

    def __call__(self) -> int:
        claimed = self._claim()
        if claimed is None:
            return BUSY
        try:
            # A cluster may start a job again that it thinks lost.
            if worker.status_of(self.manifest.job_folder(self.job)) == "finished":
                return 0
            return STOPPED if wish(self.manifest, self.job) else self._train(claimed)
        finally:
            os.close(claimed)

    def stop(self) -> None:
        """Let the run save and stop, once: it would take a second word for impatience."""
        if self._process and not self._told and not self._is_over():
            self._told = True
            with suppress(ProcessLookupError):  # its own process alone: it tells its ranks itself
                self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Wait for the run. May be called by a signal's handler in the middle of the other `wait`."""
        while not self._is_over():
            word = wish(self.manifest, self.job)
            if word == "stop":
                self.stop()
            elif word == "kill" and self._process:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            time.sleep(_POLL)

    def _claim(self) -> int | None:
        end = time.monotonic() + self.patience
        while (claimed := claim(self.manifest, self.job)) is None and time.monotonic() < end:
            time.sleep(_POLL)
        return claimed

    def _train(self, claimed: int) -> int:
        folder = self.manifest.job_folder(self.job)
        place = here()
        os.ftruncate(claimed, 0)
        os.pwrite(claimed, place.encode(), 0)
        command = worker.command_for(folder, self.job, script=self.script, extra=self.extra)
        own = {DEVICE: place} | self.environment
        with (folder / worker.LOG).open("ab") as log, _deaf_to(CLUSTERS_OWN):
            self._process = subprocess.Popen(  # noqa: S603 (our own script)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=worker.environment_of(self.manifest.folder, own),
                start_new_session=True,
                pass_fds=[claimed],
            )
            guard = _guard(self._process.pid)
        try:
            self.wait()
        finally:
            self._dismiss(guard)
        return self._process.wait()

    def _is_over(self) -> bool:
        """Whether the run has ended; it is left to be reaped, for Popen's own look is not reentrant."""
        if not self._process or self._process.returncode is not None:
            return True
        return bool(os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

    @staticmethod
    def _dismiss(guard: subprocess.Popen[bytes]) -> None:
        guard.kill()
        guard.wait()
        if guard.stdin:
            guard.stdin.close()


def here() -> str:
    """Return this host and the GPUs that whoever started this process left visible to it: `node7 0,1`."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return f"{socket.gethostname()} {gpus or 'cpu'}"


def place_of(manifest: Manifest, job: Job) -> str:
    """Return where a job was begun last, "" if nowhere yet."""
    try:
        return claim_path(manifest, job).read_text(encoding="utf-8")
    except OSError:
        return ""


def forget(manifest: Manifest, job: Job) -> None:
    """Forget where a job was, and that it was to stop: it begins once more."""
    _wish_path(manifest, job).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        os.truncate(claim_path(manifest, job), 0)


def ask_to_stop(manifest: Manifest, job: Job, *, at_once: bool) -> None:
    """Let a job save and stop, or be killed, wherever it runs."""
    with suppress(OSError):  # a full disk: it goes on, which loses nothing
        _wish_path(manifest, job).write_text("kill" if at_once else "stop", encoding="utf-8")


def wish(manifest: Manifest, job: Job) -> str:
    """Return what a job was asked to do: `stop`, `kill`, or nothing."""
    try:
        return _wish_path(manifest, job).read_text(encoding="utf-8")
    except OSError:
        return ""


def _wish_path(manifest: Manifest, job: Job) -> Path:
    path = claim_path(manifest, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.stop")


def _guard(run: int) -> subprocess.Popen[bytes]:
    """Watch this process: should it be killed, its run is told to save and stop, and frees what it runs on.

    The end of the pipe says so, which no signal to this process can prevent.
    """
    words = ["/bin/sh", "-c", 'read _ || kill -INT "$1"', "guard", str(run)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 (our own)


@contextmanager
def _deaf_to(number: signal.Signals) -> Iterator[None]:
    """Let processes that this thread starts not hear a signal, and hear all others: Ray blocks some."""
    before = signal.pthread_sigmask(signal.SIG_SETMASK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
