"""What a run folder says of its run, however far that run came."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, finished or not.

    `state` is the sweep's word for it (finished, failed, interrupted, running, pending), else what
    `result.json` says, else `unfinished`: it was killed, or is still at work.
    """

    name: str
    folder: Path
    state: str
    reason: str
    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    choices: Mapping[str, str]  # of config groups, by the group's name
    result: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]  # of metrics.jsonl, by iteration

    @property
    def checkpoint(self) -> Path | None:
        """The one that validation chose, else the last, else None."""
        for name in ("best", "last"):
            if (path := self.folder / "checkpoints" / f"{name}.ckpt").is_file():
                return path
        return None

    @property
    def iterations(self) -> int:
        """How far it came."""
        recorded = (line.get("iteration", 0) for line in self.lines)
        return int(self.result.get("iterations") or max(recorded, default=0))


def read_run(folder: Path, job: Mapping[str, Any] | None = None, *, name: str | None = None) -> RunRecord:
    """Read a run folder; a file that is missing or torn counts as empty.

    Args:
        folder: of the run; it need not exist.
        job: the sweep's entry for it, with `state`, `reason` and `overrides`.
        name: how it is called beside others; by default as its folder.
    """
    job = job or {}
    result = _mapping(_json(folder / "result.json"))
    hydra = _mapping(_mapping(_yaml(folder / ".hydra" / "hydra.yaml")).get("hydra"))
    choices = _mapping(_mapping(hydra.get("runtime")).get("choices"))
    overrides = job.get("overrides") or _yaml(folder / ".hydra" / "overrides.yaml") or []
    state = str(job.get("state") or result.get("status") or _guess(folder))
    lines = _lines(folder / "metrics.jsonl")
    complaint = "" if state == "finished" else _last_complaint(folder) or _divergence(lines)
    return RunRecord(
        name=name or folder.name,
        folder=folder,
        state=state,
        reason=str(job.get("reason") or complaint),
        overrides=tuple(map(str, overrides)),
        config=_mapping(_yaml(folder / "config.yaml")),
        choices={key: str(value) for key, value in choices.items()},
        result=result,
        lines=tuple(lines),
    )


def _guess(folder: Path) -> str:
    return "unfinished" if (folder / "config.yaml").is_file() else "failed"


def _last_complaint(folder: Path) -> str:
    """Return the last error that the run's log holds, on one line."""
    for log in (folder / "run.log", folder / "job.log"):
        lines = _text(log).splitlines()
        errors = [line for line in lines if re.search(r"\berror\b|Error\b", line)]
        if errors:
            return re.sub(r"^.*?\berror: ", "", errors[-1]).strip()
    return ""


def _divergence(lines: list[dict[str, Any]]) -> str:
    """Say which number the record ends without, if so."""
    for key, value in (lines or [{}])[-1].items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{key} is {value} at iteration {lines[-1]['iteration']}: training diverged"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError:
        return None


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(_text(path))
    except yaml.YAMLError:
        return None


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in _text(path).splitlines():
        try:
            found.append(_mapping(json.loads(line)))
        except ValueError:  # a kill hit the middle of it
            continue
    return sorted((line for line in found if "iteration" in line), key=lambda line: int(line["iteration"]))
