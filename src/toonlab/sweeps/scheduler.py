"""Runs the jobs of a sweep wherever its engine has room, and loses none."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Protocol

from toonlab.sweeps import worker
from toonlab.sweeps.engine import Engine, Orphan, Running
from toonlab.sweeps.manifest import DONE, Job, Manifest

log = logging.getLogger(__name__)

PATIENCE = 0.1
"""Seconds between two looks at the jobs."""


class Supply(Protocol):
    """Thinks of further jobs while others run."""

    def next(self) -> Job | None:
        """Return one more job, which is in the manifest by then; None: there are no more."""

    def watch(self, running: Sequence[Running]) -> None:
        """Look at what is running; may stop some of it."""

    def ended(self, job: Job) -> None:
        """Take note of a job that has come to an end, and may change its state."""


class Scheduler:
    """Starts what is left of a sweep, longest first, as soon as there is room.

    Args:
        manifest: of the sweep; changed and saved as jobs come and go.
        engine: what runs them.
        stop_on_error: let the others stop, saved, once a job has failed.
        watch: called with what is running, at each look.
        supply: of further jobs, once those of the manifest are started.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        *,
        stop_on_error: bool,
        watch: Callable[[Sequence[Running]], None],
        supply: Supply | None = None,
    ) -> None:
        self.manifest, self.engine = manifest, engine
        self.stop_on_error, self.watch, self.supply = stop_on_error, watch, supply
        self.running: list[Running] = []
        self.waiting: list[Job] = []
        self.stopping: int | None = None
        self._previous: dict[int, Any] = {}

    def run(self) -> None:
        """Run until nothing is left to do, or a signal came: the jobs then save and stop."""
        self._check_finished()
        left = [job for job in self.manifest.jobs if job.state not in DONE]
        # The longest last would leave devices idle at the end.
        self.waiting = sorted(left, key=lambda job: -job.iterations)
        self._listen()
        try:
            self._find_outlived()
            while self._goes_on():
                self._reap()
                if self.stopping is None:
                    self._fill()
                self.watch(self.running)
                if self.supply:
                    self.supply.watch(self.running)
                time.sleep(PATIENCE)
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def _check_finished(self) -> None:
        """Do again what is said to be finished and is not there."""
        for job in self.manifest.jobs:
            folder = self.manifest.job_folder(job)
            if job.state == "finished" and worker.status_of(folder) != "finished":
                log.warning("%s: was finished, but its result.json does not say so; it goes on", folder)
                job.state = "pending"

    def _goes_on(self) -> bool:
        if self.stopping is not None:  # nothing reaches those that are not ours: no use in waiting for them
            return any(self._ends(each) for each in self.running)
        return bool(self.running or self.waiting or (self.supply and self._supplied()))

    def _ends(self, running: Running) -> bool:
        """Whether a job ends when this sweep stops: at Ctrl-C ours, after an error all that hear us."""
        return running.ours or (self.stopping == 0 and not isinstance(running, Orphan))

    def _supplied(self) -> bool:
        """Whether there is one more job to be had; it waits for room then."""
        job = self.supply.next() if self.supply else None
        if job:
            self.waiting.append(job)
        return job is not None

    def _find_outlived(self) -> None:
        for job in list(self.waiting):
            found = self.engine.outlived(self.manifest, job)
            if found:
                job.state = "running"
                self.waiting.remove(job)
                self.running.append(found)
        self._save()

    def _fill(self) -> None:
        """Start what there is room for."""
        refused: int | None = None  # as many devices are not to be had: no use in asking for others
        for job in list(self.waiting):
            if refused and job.devices >= refused:
                continue
            if self._begin(job):
                self.waiting.remove(job)
            else:
                refused = job.devices
        while self.supply and not self.waiting and self.engine.has_room(1) and self._supplied():
            if self._begin(self.waiting[0]):
                self.waiting.clear()

    def _begin(self, job: Job) -> bool:
        """Start a job if there is room, and say whether that is done with."""
        if worker.status_of(self.manifest.job_folder(job)) == "finished":
            job.state = "finished"  # it outlived its parent, or the disk was full when it ended
            self._ended(job)
            return True
        was, job.state = job.state, "running"  # which an engine may correct
        try:
            started = self.engine.start(self.manifest, job)
        except OSError as error:  # a full disk: the others may have their folders already
            job.state, job.reason = "failed", f"could not be started: {error}"
            self._ended(job)
            return True
        if started is None:
            job.state = was
            return False
        job.reason, job.attempts = "", job.attempts + (not isinstance(started, Orphan))
        self.running.append(started)
        self._save()
        return True

    def _reap(self) -> None:
        for each in [each for each in self.running if each.is_over()]:
            self.running.remove(each)
            worker.settle(self.manifest, each)
            if isinstance(each, Orphan) and each.job.state not in DONE:
                each.job.state, each.job.reason = "pending", ""  # it is gone: our turn
                self.waiting.append(each.job)
                self._save()
            else:
                self._ended(each.job)

    def _ended(self, job: Job) -> None:
        if self.supply:
            self.supply.ended(job)
        if job.state == "failed" and self.stop_on_error and self.stopping is None:
            self.stopping = 0
            self._pass_on(at_once=False)
        self._save()

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
        self._pass_on(at_once=again)

    def _pass_on(self, *, at_once: bool) -> None:
        for each in self.running:
            if self._ends(each):
                each.stop(at_once=at_once)
