"""What somebody sees of a sweep: a live table on a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from toonlab.sweeps.engine import Running
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.worker import LOG

log = logging.getLogger(__name__)

COLOURS = {
    "running": "cyan",
    "queued": "blue",
    "failed": "red",
    "interrupted": "yellow",
    "pending": "dim",
    "pruned": "magenta",
    "finished": "green",
}
"""Of a job's state; on a low screen the first ones are shown."""

NUMBERS = ("#", "iteration", "time")


class Board:
    """Follows a sweep; a context manager, whose `watch` is for the scheduler."""

    def __init__(self, manifest: Manifest, console: Console | None = None) -> None:
        self.manifest = manifest
        self.console = console or Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=4) if self.console.is_terminal else None
        self._states = {job.id: job.state for job in manifest.jobs}
        self._drawn = 0.0

    def __enter__(self) -> Board:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.update(Table.grid(), refresh=True)
            self.live.stop()

    def watch(self, running: Sequence[Running]) -> None:
        """Show how things stand."""
        if self.live and time.monotonic() - self._drawn > 0.5:
            self._drawn = time.monotonic()
            self.live.update(self.table(running))
        for job in self.manifest.jobs:
            if self._states.get(job.id, "pending") != job.state:
                self._states[job.id] = job.state
                if not self.live:
                    log.info("%s", line(job))

    def table(self, running: Sequence[Running] = ()) -> Table:
        """Return every job's state; on a low screen those that matter, and how many there are of the rest."""
        table = Table(title=self._title(), title_justify="left", expand=False)
        for name in ("#", "job", "state", "device", "iteration", "time"):
            table.add_column(name, no_wrap=name != "job", justify="right" if name in NUMBERS else "left")
        begun = {each.job.id: each.begun for each in running}
        room = max(self.console.height - 8, 5) if self.live else len(self.manifest.jobs)
        order = list(COLOURS)
        jobs = sorted(self.manifest.jobs, key=lambda job: order.index(job.state))[:room]
        for job in sorted(jobs, key=lambda job: job.number):
            seconds = job.seconds + (time.time() - begun[job.id] if job.id in begun else 0)
            table.add_row(
                str(job.number),
                " ".join(job.swept),
                f"[{COLOURS[job.state]}]{job.state}[/]",
                _short(job.device),
                f"{_iteration(self.manifest.job_folder(job))}/{job.iterations}",
                _clock(seconds),
            )
        return table

    def _title(self) -> str:
        counts = Counter(job.state for job in self.manifest.jobs)
        return f"{self.manifest.folder}: " + ", ".join(f"{n} {state}" for state, n in counts.items())


def line(job: Job) -> str:
    """Return one job's state as a line for a log."""
    words = f"#{job.number} {' '.join(job.swept)}: {job.state}"
    if job.state in ("running", "queued") and job.device:
        words += f" on {job.device}"
    if job.state not in ("queued", "running", "pending") and job.seconds:
        words += f" after {_clock(job.seconds)}"
    return f"{words} ({job.reason})" if job.reason else words


def summary(manifest: Manifest) -> str:
    """Return the last table as plain text: a line for each job, with reasons and logs of failures."""
    lines = [line(job) for job in manifest.jobs]
    failed = [job for job in manifest.jobs if job.state == "failed"]
    lines += [f"  log: {manifest.job_folder(job) / LOG}" for job in failed]
    return "\n".join(lines)


def _iteration(folder: Path) -> str:
    """Return the last iteration that a run logged; what cannot be read is no reason to stop."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
        return str(json.loads(lines[-1])["iteration"])
    except (OSError, IndexError, ValueError, KeyError):
        return "0"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _short(device: str) -> str:
    return device if len(device) <= 14 else f"{device[:12]}…"
