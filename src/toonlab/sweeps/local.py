"""Jobs on this host: a process each, on devices that it holds itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toonlab.sweeps import worker
from toonlab.sweeps.devices import environment_for
from toonlab.sweeps.engine import Orphan, Running, claim, orphan
from toonlab.sweeps.leases import LEASES, Lease, lease
from toonlab.sweeps.manifest import Job, Manifest


class LocalJob:
    """A job in a process of ours."""

    ours = True

    def __init__(self, job: Job, process: subprocess.Popen[bytes], held: Lease) -> None:
        self.job, self.begun = job, time.time()
        self._process, self._held = process, held

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def code(self) -> int | None:
        return self._process.returncode

    def reason(self) -> str:
        return ""

    def stop(self, *, at_once: bool) -> None:
        if self.is_over():
            return
        try:
            if at_once:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:  # its own process alone: it tells its ranks itself
                self._process.send_signal(signal.SIGINT)
        except ProcessLookupError:
            pass

    def release(self) -> None:
        self._held.release()


class Local:
    """The engine of one host.

    Args:
        devices: names of what can be leased; empty: the processor alone.
        slots: jobs that share a device; without devices, jobs at a time.
        environment: variables for all jobs.
        script: train.py.
        extra: arguments of Hydra's for all jobs.
        leases: folder of the locks on devices.
    """

    def __init__(
        self,
        devices: Sequence[str],
        *,
        slots: int,
        environment: Mapping[str, str],
        script: Path,
        extra: Sequence[str],
        leases: Path = LEASES,
    ) -> None:
        self.devices, self.slots, self.environment = devices, slots, environment
        self.script, self.extra, self.leases = script, extra, leases
        self._started: list[LocalJob] = []

    def has_room(self, devices: int) -> bool:
        room = self._take(devices)
        if room is None:
            return False
        room.release()
        return True

    def start(self, manifest: Manifest, job: Job) -> Running | None:
        room = self._take(job.devices)
        if room is None:
            return None
        claimed = claim(manifest, job)
        if claimed is None:
            room.release()
            return Orphan(manifest, job)
        try:
            process = self._process(manifest, job, room, claimed)
        except OSError:
            room.release()
            raise
        finally:
            os.close(claimed)  # the process has its own
        job.device = ",".join(room.devices)
        started = LocalJob(job, process, room)
        self._started.append(started)
        return started

    def outlived(self, manifest: Manifest, job: Job) -> Running | None:
        return orphan(manifest, job)

    def farewell(self, left: Sequence[Running]) -> str:
        return ""

    def _take(self, devices: int) -> Lease | None:
        if self.devices:
            return lease(self.devices, count=devices, slots=self.slots, folder=self.leases)
        self._started = [each for each in self._started if not each.is_over()]
        return Lease([], []) if len(self._started) < self.slots else None

    def _process(self, manifest: Manifest, job: Job, room: Lease, claimed: int) -> subprocess.Popen[bytes]:
        folder = manifest.job_folder(job)
        command = worker.command_for(folder, job, script=self.script, extra=self.extra)
        own = environment_for(room.devices) | dict(self.environment)
        with (folder / worker.LOG).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own script)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=worker.environment_of(manifest.folder, own),
                start_new_session=True,  # Ctrl-C is for the sweep, which passes it on
                pass_fds=[claimed, *room.descriptors],
            )
