"""A sweep from its jobs to its last table."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError
from toonlab.sweeps.board import Board, summary
from toonlab.sweeps.engine import Engine
from toonlab.sweeps.leases import lock
from toonlab.sweeps.manifest import DONE, NAME, Job, Manifest, check_same, load
from toonlab.sweeps.scheduler import Scheduler, Supply

log = logging.getLogger(__name__)


def run(
    folder: Path,
    definition: Sequence[str],
    jobs: Sequence[Job],
    plans: Mapping[str, dict[str, Any]],
    *,
    engine: Engine,
    stop_on_error: bool,
    report: Path | None,
    resume: bool,
    supply: Callable[[Manifest], Supply] | None = None,
    how: Sequence[str] = (),
) -> None:
    """Run what is left of a sweep, and say how it went.

    Args:
        folder: of the sweep.
        definition: see `Manifest`.
        jobs: all of them, as the command line says it now.
        plans: resolved config of each, by id.
        engine: what runs them.
        stop_on_error: let the others stop once one has failed.
        report: report.py, to write a page about the runs at the end.
        resume: whether the sweep is to go on.
        supply: makes what thinks of further jobs, now that the sweep is ours alone.
        how: see `Manifest`.

    Raises:
        UsageError: somebody else is at it, it is another sweep than was begun, or jobs failed.
        KeyboardInterrupt: it was stopped by Ctrl-C; what ran has saved.
        SystemExit: likewise, by another signal; its code is that of a process that the signal ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = lock(folder / ".locks" / "sweep")
    if held is None:
        raise UsageError(f"{folder}: another process is at work on this sweep; wait for it, or stop it")
    try:
        manifest = _opened(folder, definition, jobs, plans, resume=resume)
        manifest.how = list(how)
        manifest.save()
        more = supply(manifest) if supply else None
        with Board(manifest) as board:
            scheduler = Scheduler(
                manifest, engine, stop_on_error=stop_on_error, watch=board.watch, supply=more
            )
            scheduler.run()
    finally:
        os.close(held)
    log.info("%s\n%s", folder, summary(manifest))
    if report and any(job.state == "finished" for job in manifest.jobs) and not scheduler.stopping:
        _report(report, folder)
    if scheduler.stopping:
        farewell = engine.farewell(scheduler.running) if scheduler.running else ""
        log.info("Stopped. %sGo on with:\n  python src/train.py -m resume=%s", farewell, folder)
        if scheduler.stopping != signal.SIGINT:
            sys.exit(128 + scheduler.stopping)
        raise KeyboardInterrupt
    left = [job for job in manifest.jobs if job.state not in DONE]
    if left:
        raise UsageError(
            f"{len(left)} of {len(manifest.jobs)} jobs did not finish (see above); try them again, where "
            f"they stand, with python src/train.py -m resume={folder}"
        )


def _opened(
    folder: Path,
    definition: Sequence[str],
    jobs: Sequence[Job],
    plans: Mapping[str, dict[str, Any]],
    *,
    resume: bool,
) -> Manifest:
    if not (folder / NAME).exists():
        if resume:
            raise UsageError(f"resume={folder}: no {NAME} there; give a sweep's folder")
        return Manifest(folder, list(definition), list(jobs), dict(plans))
    if not resume:
        raise UsageError(
            f"{folder}: holds a sweep already; go on with -m resume={folder}, or choose another folder"
        )
    kept = load(folder)
    check_same(kept, jobs, plans)
    return kept


def _report(script: Path, folder: Path) -> None:
    done = subprocess.run([sys.executable, str(script), f"runs={folder}"], check=False)  # noqa: S603 (our own)
    if done.returncode:
        log.warning("the report failed; all runs are there: python src/report.py runs=%s", folder)
