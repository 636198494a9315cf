"""What a sweep needs of whatever runs its jobs: this host, SLURM, Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from toonlab.sweeps.leases import lock
from toonlab.sweeps.manifest import Job, Manifest


class Running(Protocol):
    """A job at work.

    Attributes:
        job: which.
        begun: when, in seconds since 1970.
        ours: whether it ends with this sweep; else a stopped sweep leaves it at work.
    """

    job: Job
    begun: float
    ours: bool

    def is_over(self) -> bool:
        """Whether it has ended."""

    def code(self) -> int | None:
        """Return the exit status of an ended job, negative for a signal's number; None: nobody knows."""

    def reason(self) -> str:
        """Return why a job ended where its own log cannot know, as when its node failed; else ""."""

    def stop(self, *, at_once: bool) -> None:
        """Let it save and stop, or kill it."""

    def release(self) -> None:
        """Let go of what it ran on."""


class Engine(Protocol):
    """Runs jobs somewhere."""

    def has_room(self, devices: int) -> bool:
        """Whether a job on so many devices could be started now."""

    def start(self, manifest: Manifest, job: Job) -> Running | None:
        """Start a job where it stands, see `command_for`, and say where in `job.device`; None: no room.

        Raises:
            OSError: it could not be started, of a full disk for example.
        """

    def outlived(self, manifest: Manifest, job: Job) -> Running | None:
        """Return a job that an earlier parent left at work; None if nobody works on it."""

    def farewell(self, left: Sequence[Running]) -> str:
        """Return what to tell somebody who stops a sweep and leaves these jobs at work; "": nothing."""


class Orphan:
    """A job on this host, or on one with the same disk, whose parent is gone: a `Running`."""

    ours = False

    def __init__(self, manifest: Manifest, job: Job) -> None:
        self.job, self.begun, self._manifest = job, time.time(), manifest

    def is_over(self) -> bool:
        claimed = claim(self._manifest, self.job)
        if claimed is None:
            return False
        os.close(claimed)
        return True

    def code(self) -> int | None:
        return None

    def reason(self) -> str:
        return ""

    def stop(self, *, at_once: bool) -> None:
        """Do nothing: it listens to its own terminal."""

    def release(self) -> None:
        """Do nothing: its process holds what it runs on."""


def claim(manifest: Manifest, job: Job) -> int | None:
    """Make this process the only one that works on a job; None: another one does, be it without a parent."""
    return lock(claim_path(manifest, job))


def claim_path(manifest: Manifest, job: Job) -> Path:
    """Return the file that is locked by whoever works on a job."""
    return manifest.folder / ".locks" / job.id


def orphan(manifest: Manifest, job: Job) -> Orphan | None:
    """Return a job that somebody works on without us."""
    if not claim_path(manifest, job).exists():
        return None
    found = Orphan(manifest, job)
    return None if found.is_over() else found
