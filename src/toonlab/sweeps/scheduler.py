"""Runs the jobs of a sweep on the devices there are, and loses none."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from toonlab.sweeps import worker
from toonlab.sweeps.leases import LEASES, Lease, lease
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.worker import Running

log = logging.getLogger(__name__)

PATIENCE = 0.1
"""Seconds between two looks at the jobs."""


@dataclasses.dataclass(frozen=True)
class Room:
    """What jobs may use.

    Attributes:
        devices: names of what can be leased; empty: the processor alone.
        slots: jobs that share a device; without devices, jobs at a time.
        environment: variables for all jobs.
        leases: folder of the locks on devices.
    """

    devices: Sequence[str]
    slots: int
    environment: Mapping[str, str]
    leases: Path = LEASES


class Scheduler:
    """Starts what is left of a sweep, longest first, wherever a device is free.

    Args:
        manifest: of the sweep; changed and saved as jobs come and go.
        room: what they may use.
        script: train.py.
        extra: see `worker.start`.
        stop_on_error: let the others stop, saved, once a job has failed.
        watch: called with what is running, at each look.
    """

    def __init__(
        self,
        manifest: Manifest,
        room: Room,
        *,
        script: Path,
        extra: Sequence[str],
        stop_on_error: bool,
        watch: Callable[[Sequence[Running]], None],
    ) -> None:
        self.manifest, self.room, self.script, self.extra = manifest, room, script, extra
        self.stop_on_error, self.watch = stop_on_error, watch
        self.running: list[Running] = []
        self.waiting: list[Job] = []
        self.stopping: int | None = None
        self._previous: dict[int, Any] = {}

    def run(self) -> None:
        """Run until nothing is left to do, or a signal came: the jobs then save and stop."""
        left = [job for job in self.manifest.jobs if job.state != "finished"]
        # The longest last would leave devices idle at the end.
        self.waiting = sorted(left, key=lambda job: -job.iterations)
        self._listen()
        try:
            while self.running or (self.waiting and self.stopping is None):
                self._reap()
                if self.stopping is None:
                    self.waiting = [job for job in self.waiting if not self._begin(job)]
                self.watch(self.running)
                time.sleep(PATIENCE)
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _begin(self, job: Job) -> bool:
        """Start a job if there is room, and say whether that is done with."""
        room = self._take(job)
        if room is None:
            return False
        claimed = worker.claim(self.manifest, job)
        if claimed is None:  # it outlived an earlier parent
            room.release()
            if job.state != "running":
                job.state = "running"
                self._save()
            self.running.append(Running(job))
            return True
        if worker.status_of(self.manifest.job_folder(job)) == "finished":
            job.state = "finished"  # it outlived its parent, or the disk was full when it ended
            os.close(claimed)
            room.release()
            self._save()
            return True
        try:
            started = worker.start(
                self.manifest,
                job,
                room,
                claimed,
                script=self.script,
                extra=self.extra,
                environment=self.room.environment,
            )
        except OSError as error:  # a full disk: the others may have their folders already
            job.state, job.reason = "failed", f"could not be started: {error}"
            os.close(claimed)
            room.release()
            self._failed()
        else:
            self.running.append(started)
        self._save()
        return True

    def _take(self, job: Job) -> Lease | None:
        if not self.room.devices:
            here = sum(1 for each in self.running if each.process)
            return Lease([], []) if here < self.room.slots else None
        return lease(self.room.devices, count=job.devices, slots=self.room.slots, folder=self.room.leases)

    def _reap(self) -> None:
        for each in [each for each in self.running if worker.is_over(self.manifest, each)]:
            self.running.remove(each)
            worker.settle(self.manifest, each)
            if each.process is None and each.job.state != "finished":
                each.job.state, each.job.reason = (
                    "pending",
                    "",
                )  # it is gone: our turn
                self.waiting.append(each.job)
            elif each.job.state == "failed":
                self._failed()
            self._save()

    def _failed(self) -> None:
        if self.stop_on_error and self.stopping is None:
            self.stopping = 0
            self._pass_on(signal.SIGINT)

    def _save(self) -> None:
        try:
            self.manifest.save()
        except OSError as error:
            # What counts is in the runs' own folders; the next change is written again.
            log.warning("%s: cannot be written (%s)", self.manifest.path, error.strerror)

    def _listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        again = bool(self.stopping)
        self.stopping = number
        self._pass_on(signal.SIGKILL if again else signal.SIGINT)

    def _pass_on(self, number: int) -> None:
        for each in self.running:
            if each.process and each.process.poll() is None:
                try:
                    if number == signal.SIGKILL:
                        os.killpg(each.process.pid, number)
                    else:  # its own process alone: it tells its ranks itself
                        each.process.send_signal(number)
                except ProcessLookupError:
                    continue
