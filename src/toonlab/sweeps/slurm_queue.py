"""What SLURM says of jobs, asked for all at once and not too often: its scheduler serves a whole cluster.

`squeue` rather than submitit's `sacct`, which needs an accounting database that smaller clusters do not have.
"""

from __future__ import annotations

import getpass
import logging
import shutil
import subprocess
import time
from collections.abc import Iterable
from typing import NamedTuple

from toonlab.errors import UsageError

log = logging.getLogger(__name__)

OVER = {
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"),
    *("BOOT_FAIL", "PREEMPTED", "REVOKED"),
}
"""States of a job that has ended. PREEMPTED may be on its way back into the queue."""

WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING"}

GONE = "GONE"
"""Our name for the state of a job that the queue does not know any more."""

_ATTEMPTS = 3
"""Looks in a row that must agree that a job is over: one that is put back into the queue passes through."""


class Entry(NamedTuple):
    """A job in the queue."""

    name: str
    state: str
    reason: str


class Queue:
    """This user's jobs.

    Args:
        poll_seconds: at least so long between two questions.
    """

    def __init__(self, *, poll_seconds: float) -> None:
        if not shutil.which("squeue"):
            raise UsageError(
                "hydra/launcher=submitit_slurm: there is no SLURM here (no squeue); begin the "
                "sweep on a login node"
            )
        self.poll_seconds = poll_seconds
        self._entries: dict[str, Entry] = {}
        self._over: dict[str, int] = {}
        self._asked = float("-inf")
        self._silent = False

    def find(self, name: str) -> str:
        """Return the id of a job with this name that has not ended, "" if there is none."""
        self._look()
        return next((k for k, e in self._entries.items() if e.name == name and e.state not in OVER), "")

    def state(self, ticket: str) -> str:
        """Return a job's state by its id; `GONE` if it left the queue."""
        self._look()
        entry = self._entries.get(ticket)
        return entry.state if entry else GONE

    def why(self, ticket: str) -> str:
        """Return why a job waits, or ended, as the queue puts it."""
        entry = self._entries.get(ticket)
        return entry.reason if entry else ""

    def is_over(self, ticket: str) -> bool:
        """Whether a job has ended: several looks say so."""
        self._look()
        return self._over.get(ticket, 0) >= _ATTEMPTS

    def expect(self, ticket: str, name: str) -> None:
        """Take a job that was submitted just now for queued, till the next look."""
        self._entries[ticket] = Entry(name, "PENDING", "")

    def _look(self) -> None:
        if time.monotonic() - self._asked < self.poll_seconds:
            return
        self._asked = time.monotonic()
        words = [
            "squeue",
            "--noheader",
            f"--user={getpass.getuser()}",
            "--states=all",
            "--format=%i|%T|%r|%j",
        ]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            if not self._silent:  # its controller restarts, or is busy: what was true stays true
                said = str(getattr(error, "stderr", None) or error).strip()
                log.warning("SLURM does not answer (%s); asking on", said)
            self._silent = True
            return
        self._silent = False
        known, self._entries = self._entries, parse(done.stdout.splitlines())
        for ticket in {*known, *self._entries, *self._over}:
            entry = self._entries.get(ticket)
            ended = entry is None or entry.state in OVER
            self._over[ticket] = self._over.get(ticket, 0) + 1 if ended else 0


def parse(lines: Iterable[str]) -> dict[str, Entry]:
    """Read lines `id|state|reason|name` of squeue."""
    found = {}
    for line in lines:
        ticket, state, reason, name = line.strip().split("|", 3)
        found[ticket] = Entry(name, state, "" if reason == "None" else reason)
    return found


def past(ticket: str) -> str:
    """Return the last state of a job that left the queue, if the cluster keeps accounts; else `GONE`."""
    words = ["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={ticket}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return GONE
    lines = done.stdout.split("\n")
    return lines[-2].strip() if done.returncode == 0 and len(lines) > 1 else GONE


def cancel(ticket: str, *words: str) -> None:
    """Run scancel on a job; one that has ended meanwhile is none of our business."""
    subprocess.run(["scancel", *words, ticket], capture_output=True, timeout=60, check=False)  # noqa: S603, S607
