"""`sweep.json`: what a sweep is, and how far each of its jobs has come."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError

FORMAT = 1
NAME = "sweep.json"

DONE = ("finished", "pruned")
"""States of jobs of which nothing is left to do."""

PLACES = ("outputs_dir", "cache_dir", "resume")
"""Keys of a config that say where, not what."""


@dataclasses.dataclass
class Job:
    """One run of a sweep.

    Attributes:
        id: hash of its resolved config, see `identity`.
        number: place in the sweep.
        overrides: what it is started with.
        swept: those of them that differ between jobs.
        folder: of the run, inside the sweep's.
        iterations: how long it is.
        devices: how many it needs.
        state: pending, queued, running, finished, failed, interrupted, or pruned: stopped for good by a
            search.
        attempts: how often it was started.
        seconds: of all attempts that this or an earlier parent saw to their end.
        device: what it runs on, or ran on last.
        reason: why it failed.
        ticket: what a cluster's scheduler calls it.
    """

    id: str
    number: int
    overrides: list[str]
    swept: list[str]
    folder: str
    iterations: int
    devices: int
    state: str = "pending"
    attempts: int = 0
    seconds: float = 0.0
    device: str = ""
    reason: str = ""
    ticket: str = ""


@dataclasses.dataclass
class Manifest:
    """A sweep in its folder.

    Attributes:
        folder: absolute.
        definition: the words of the command line that say what is swept.
        jobs: in their order.
        plans: resolved config of each job by id, to say later what changed.
        how: the words that say which launcher ran it last; it may be another one every time.
    """

    folder: Path
    definition: list[str]
    jobs: list[Job]
    plans: dict[str, dict[str, Any]]
    how: list[str] = dataclasses.field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / NAME

    def job_folder(self, job: Job) -> Path:
        return self.folder / job.folder

    def save(self) -> None:
        """Write it whole or not at all.

        Raises:
            OSError: it cannot be written; the last one that was stays.
        """
        whole = {
            "format": FORMAT,
            "definition": self.definition,
            "how": self.how,
            "jobs": [dataclasses.asdict(job) for job in self.jobs],
            "plans": self.plans,
        }
        part = self.path.with_name(f".{NAME}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(whole, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)


def load(folder: Path) -> Manifest:
    """Read a sweep's manifest.

    Raises:
        UsageError: there is none, or it is damaged or of a newer toonlab.
    """
    path = folder / NAME
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        newer = whole["format"] > FORMAT
        jobs = [] if newer else [Job(**job) for job in whole["jobs"]]
        kept = (
            None
            if newer
            else Manifest(folder, whole["definition"], jobs, whole["plans"], whole.get("how", []))
        )
    except OSError as error:
        raise UsageError(f"resume={folder}: no {NAME} there; give a sweep's folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: damaged ({type(error).__name__}); start the sweep anew") from error
    if kept is None:
        raise UsageError(f"{path}: written by a newer toonlab; update toonlab")
    return kept


def identity(config: Mapping[str, Any]) -> str:
    """Return a job's stable name: a hash of its resolved config without the places it writes to."""
    return hashlib.sha256(
        json.dumps(_without_places(config), sort_keys=True, default=str).encode()
    ).hexdigest()[:10]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what another config says otherwise: `method.lr: 1.0 -> 2.0`."""
    found = []
    for key in sorted({*old, *new}):
        if key in PLACES:
            continue
        name, before, after = f"{prefix}{key}", old.get(key, "nothing"), new.get(key, "nothing")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{name}.")
        elif before != after:
            found.append(f"{name}: {_brief(before)} -> {_brief(after)}")
    return found


def check_same(kept: Manifest, jobs: Sequence[Job], plans: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to go on with a sweep that is not the one that was begun.

    Raises:
        UsageError: it says what changed.
    """
    old, new = {job.id: job for job in kept.jobs}, {job.id: job for job in jobs}
    if old.keys() == new.keys():
        return
    begun = {tuple(sorted(job.overrides)): job for job in kept.jobs}
    said = []
    for job in jobs:
        before = begun.get(tuple(sorted(job.overrides)))
        if before and before.id != job.id:
            said += differences(kept.plans[before.id], plans[job.id])
    words = "; ".join(dict.fromkeys(said)) or f"{len(old)} jobs then, {len(new)} now"
    raise UsageError(
        f"resume={kept.folder}: the sweep is another one than the one begun there ({words}); take that "
        "back, or start a new sweep"
    )


def _without_places(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    return {key: _without_places(value) for key, value in node.items() if key not in PLACES}


def _brief(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
