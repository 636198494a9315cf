"""A job that another scheduler has, seen from here."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from toonlab.sweeps import remote, worker
from toonlab.sweeps.engine import orphan
from toonlab.sweeps.manifest import Job, Manifest


class Afar(ABC):
    """What the jobs of all clusters have in common: a `Running`."""

    ours = True

    def __init__(self, manifest: Manifest, job: Job) -> None:
        self.job, self.begun = job, time.time()
        self.manifest = manifest
        self._asked: set[bool] = set()

    @abstractmethod
    def has_returned(self) -> bool:
        """Whether the cluster is done with it."""

    @abstractmethod
    def waits(self) -> bool:
        """Whether the cluster says that it has not begun, or has put it back into its queue."""

    @abstractmethod
    def name(self) -> str:
        """Return what the cluster calls it."""

    @abstractmethod
    def code(self) -> int | None:
        """See `Running`."""

    @abstractmethod
    def fate(self) -> str:
        """Return what became of it, by the cluster."""

    def is_over(self) -> bool:
        if self.has_returned():
            return orphan(self.manifest, self.job) is None  # a run whose caller was killed saves first
        place = "" if self.waits() else remote.place_of(self.manifest, self.job)
        state = "running" if place else "queued"
        if self.job.state == "running" and state == "queued":
            self.job.seconds += time.time() - self.begun
        if state == "queued":
            self.begun = time.time()  # waiting costs nothing
        self.job.state, self.job.device = state, place or self.name()
        return False

    def reason(self) -> str:
        code = self.code()
        if code == remote.BUSY:
            return "another process is at work on it"
        if code is not None or worker.status_of(self.manifest.job_folder(self.job)) == "finished":
            return ""
        return self.fate()

    def stop(self, *, at_once: bool) -> None:
        if at_once not in self._asked:
            self._asked.add(at_once)
            remote.ask_to_stop(self.manifest, self.job, at_once=at_once)

    def release(self) -> None:
        self.job.ticket = ""  # the cluster has it back
