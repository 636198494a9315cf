"""What tests of engines share: pretended jobs, a sweep of them on an engine, and what they left behind."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toonlab.sweeps import sweep
from toonlab.sweeps.engine import Engine
from toonlab.sweeps.manifest import Job

SCRIPT = Path(__file__).parent / "sweeps" / "pretend_train.py"


def job(number: int, iterations: int, *more: str, devices: int = 1) -> Job:
    overrides = [f"seed={number}", f"iterations={iterations}", *more]
    return Job(f"id{number}", number, overrides, overrides, f"{number}_x", iterations, devices)


def run(
    folder: Path,
    jobs: Sequence[Job],
    engine: Engine,
    *,
    resume: bool = False,
    stop_on_error: bool = False,
    accelerator: str = "cpu",
) -> None:
    """Run a sweep of `jobs`, which train on `accelerator`."""
    sweep.run(
        folder,
        ["seed=0,1"],
        jobs,
        {each.id: {"seed": each.number, "trainer": {"accelerator": accelerator}} for each in jobs},
        engine=engine,
        stop_on_error=stop_on_error,
        report=None,
        resume=resume,
        how=["hydra/launcher=x"],
    )


def events(folder: Path) -> list[dict[str, Any]]:
    files = folder.glob("*_x/events.jsonl")
    return [json.loads(line) | {"job": f.parent.name} for f in files for line in f.read_text().splitlines()]


def weights(folder: Path, each: Job) -> str:
    found: str = json.loads((folder / each.folder / "result.json").read_text())["weights"]
    return found


def undisturbed(each: Job) -> str:
    value = str(each.number)
    for _ in range(each.iterations):
        value = hashlib.sha256(value.encode()).hexdigest()
    return value


def check_whole(folder: Path, jobs: Sequence[Job]) -> None:
    """Every job ended once, with the weights of an undisturbed one; each began where a save was."""
    assert [weights(folder, each) for each in jobs] == [undisturbed(each) for each in jobs]
    for each in jobs:
        own = [e for e in events(folder) if e["job"] == each.folder]
        assert [e["iteration"] for e in own if e["what"] == "end"][-1] == each.iterations
        assert [e["iteration"] for e in own if e["what"] == "begin"] == sorted(
            e["iteration"] for e in own if e["what"] == "begin"
        )


def wait_for(what: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)
    return found


def processes(*words: str) -> list[int]:
    """Return the ids of processes whose command holds all these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue
        if all(word in said for word in words):
            found.append(int(path.parent.name))
    return found
