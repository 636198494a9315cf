"""What was planned, file by file: a bad one stops no other, and Ctrl-C loses nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from toonlab import heap, images
from toonlab.errors import UsageError
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.planning import Job, Plan
from toonlab.inference.stylizer import Stylizer

log = logging.getLogger(__name__)

OnPart = Callable[[int, int], None]
"""Called with (parts of a file done, parts in all)."""


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """What became of a plan.

    Attributes:
        painted: finished targets.
        skipped_existing: targets that were there already.
        failed: a reason for each source that could not be painted.
        remaining: jobs not begun or not finished when the user interrupted.
        deed: what was done to the painted ones, in a word.
        lacking: what became of a source only in part.
    """

    plan: Plan
    deed: str = "painted"
    painted: list[Path] = dataclasses.field(default_factory=list)
    failed: dict[Path, str] = dataclasses.field(default_factory=dict)
    interrupted: bool = False
    lacking: dict[Path, str] = dataclasses.field(default_factory=dict)

    @property
    def skipped_existing(self) -> int:
        return len(self.plan.existing)

    @property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Photos and their cartoons, those of an earlier run included, by the photos' names."""
        ready = {*self.painted, *(job.target for job in self.plan.existing)}
        jobs = (*self.plan.existing, *self.plan.jobs)
        return sorted((job.source, job.target) for job in jobs if job.target in ready)

    @property
    def remaining(self) -> int:
        return len(self.plan.jobs) - len(self.painted) - len(self.failed)

    def summary(self) -> str:
        """Return the counts, what to know about them, and at the end each failure with its reason."""
        lines = [f"{len(self.painted)} {self.deed}, {len(self.failed)} failed"]
        if self.skipped_existing:
            lines.append(f"{self.skipped_existing} skipped: already there (overwrite=true makes them anew)")
        if self.plan.ignored:
            lines.append(f"{self.plan.ignored} other files ignored: not images by their names")
        lines += [f"written as PNG: {target}" for target in self.plan.renamed]
        lines += [f"{source}: {what}" for source, what in self.lacking.items()]
        if self.interrupted:
            lines.append(f"interrupted with {self.remaining} to go: the same command continues")
        if self.failed:
            lines += ["failed:", *(f"  {source}: {reason}" for source, reason in self.failed.items())]
        return "\n".join(lines)


def stylize_all(
    stylizer: Stylizer, plan: Plan, *, progress: bool, encoding: Encoding | None = None
) -> Outcome:
    """Paint what was planned, one file after the other; see `each_job`. `pipeline` does it side by side."""
    outcome = Outcome(plan=plan)

    def paint(job: Job, on_tile: OnPart) -> None:
        if lacking := stylizer.paint_file(job.source, job.target, on_tile, encoding=encoding):
            outcome.lacking[job.source] = lacking

    return each_job(paint, outcome, what="stylize", part="tile", progress=progress)


def each_job(
    work: Callable[[Job, OnPart], None], outcome: Outcome, *, what: str, part: str, progress: bool
) -> Outcome:
    """Do what was planned; a bad file is noted and the rest goes on.

    Ctrl-C ends the work in good order: finished files stay, no half of one, and the outcome says so.

    Args:
        work: does one job, and may tell of each part that it finished.
        outcome: of the plan, nothing done yet; returned.
        what: names the progress bar.
        part: names what `work` tells of, for a bar of a file that takes longer than a second.
        progress: show both bars.
    """
    try:
        for job in tqdm(outcome.plan.jobs, desc=what, unit="file", disable=not progress):
            try:
                _do(work, job, part, progress)
            except Exception as error:  # any file's trouble, MemoryError included, is that file's alone
                log.debug("%s failed", job.source, exc_info=True)
                outcome.failed[job.source] = reason(error)
            else:
                outcome.painted.append(job.target)
    except KeyboardInterrupt:
        outcome.interrupted = True
    return outcome


def _do(work: Callable[[Job, OnPart], None], job: Job, part: str, progress: bool) -> None:
    with part_bar(job.source.name, part, progress) as on_part:
        work(job, on_part)
    heap.give_back()  # else pieces of all sizes pile up


@contextmanager
def part_bar(name: str, part: str, progress: bool) -> Iterator[OnPart]:
    """Show a bar of one file's parts if it takes longer than a second."""
    with tqdm(desc=name, unit=part, leave=False, disable=not progress, delay=1) as bar:

        def on_part(done: int, parts: int) -> None:
            bar.total = parts
            bar.update(done - bar.n)

        yield on_part


def reason(error: BaseException) -> str:
    """Say in a line why a file failed."""
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, images.BadImageError | UsageError):
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
