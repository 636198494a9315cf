"""The runs of a sweep: by its `sweep.json`, else by what its folder holds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError
from toonlab.reports.record import RunRecord, read_run


def runs_of(folders: Iterable[Path]) -> list[RunRecord]:
    """Return every run of the given sweeps and run folders, each once, in the sweeps' own order.

    Jobs that failed before they wrote anything, and such as have not begun, are among them.

    Raises:
        UsageError: a folder is missing or holds no run; or a damaged `sweep.json`.
    """
    found: dict[Path, RunRecord] = {}
    for folder in folders:
        for run in _runs_in(folder):
            found.setdefault(run.folder.resolve(), run)
    twice = {name for name, count in Counter(run.name for run in found.values()).items() if count > 1}
    return [
        run if run.name not in twice else read_run(run.folder, _job(run), name=_longer(run.folder))
        for run in found.values()
    ]


def _runs_in(folder: Path) -> list[RunRecord]:
    if (folder / "sweep.json").is_file():
        return [read_run(folder / str(job["folder"]), job) for job in _jobs(folder / "sweep.json")]
    if (folder / "config.yaml").is_file():
        return [read_run(folder)]
    marks = ("config.yaml", ".hydra/overrides.yaml")
    children = {path.parents[mark.count("/")] for mark in marks for path in folder.glob(f"*/{mark}")}
    if not children:
        what = "no finished run there" if folder.is_dir() else "no such folder, so no finished run there"
        raise UsageError(f"runs={folder}: {what}; give a folder under outputs/, see --help")
    return [read_run(child) for child in sorted(children, key=_by_number)]


def _jobs(path: Path) -> list[dict[str, Any]]:
    try:
        jobs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["jobs"]
        return sorted((job for job in jobs if job["folder"]), key=lambda job: int(job["number"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: cannot be read ({type(error).__name__}); move it away to go by the folders alone"
        ) from error


def _job(run: RunRecord) -> dict[str, Any]:
    return {"state": run.state, "reason": run.reason, "overrides": run.overrides}


def _longer(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _by_number(folder: Path) -> list[tuple[int, str]]:
    """Sort 10_whitebox behind 9_whitebox."""
    return [(int(part or 0), word) for part, word in re.findall(r"(\d*)(\D*)", folder.name)]
