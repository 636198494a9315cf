"""What differs between runs: the values that a sweep swept, or else whatever their configs disagree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from toonlab.reports.record import RunRecord

NO_SETTING = ("hydra", "outputs_dir", "cache_dir", "resume", "log_every", "save_every", "logger", "wandb")
"""Where and how often a run keeps things, which makes no difference to what it learns."""

Values = dict[str, list[Any]]
"""By key, a value for each run; None where a run has no such setting."""


def swept(runs: Sequence[RunRecord]) -> Values:
    """Return the values that differ between the runs, by their keys; nothing for a single run.

    Taken from the command lines if these differ, which is what a sweep is; else from the configs.
    """
    if not (found := _differing(_of_overrides(runs))):
        found = _differing(_of_configs(runs))
    return found


def plain(value: Any) -> Any:
    """Return a number for what reads as one, `1e10` included, which YAML takes for a word."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _differing(values: Values) -> Values:
    return {key: row for key, row in values.items() if len({repr(value) for value in row}) > 1}


def _of_overrides(runs: Sequence[RunRecord]) -> Values:
    asked = [_asked(run.overrides) for run in runs]
    keys = dict.fromkeys(key for row in asked for key in row)
    return {
        key: [row[key] if key in row else _by_default(run, key) for run, row in zip(runs, asked, strict=True)]
        for key in keys
        if key.partition(".")[0] not in NO_SETTING
    }


def _asked(overrides: Sequence[str]) -> dict[str, Any]:
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~").partition("@")[0]: _parsed(value) for key, _, value in pairs}


def _parsed(value: str) -> Any:
    try:
        return _shown(plain(yaml.safe_load(value)))
    except yaml.YAMLError:
        return value


def _by_default(run: RunRecord, key: str) -> Any:
    """Return what a run that was not told has at this key; of a config group, its choice."""
    if key in run.choices:
        return _parsed(run.choices[key])
    node: Any = run.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return _shown(node)


def _of_configs(runs: Sequence[RunRecord]) -> Values:
    flat = [_flat(run.config) for run in runs if run.config]
    keys = dict.fromkeys(key for row in flat for key in row)
    known = iter(flat)
    rows = [next(known) if run.config else {} for run in runs]
    # Among those that can be read: one that cannot would differ in everything.
    differing = _differing({key: [row.get(key) for row in flat] for key in keys})
    found = {key: [row.get(key) for row in rows] for key in differing}
    # Where a class differs, so does everything below it; the class says it all.
    classes = tuple(key.removesuffix("_target_") for key in found if key.endswith("._target_"))
    return {
        key.removesuffix("._target_"): row
        for key, row in found.items()
        if key.endswith("._target_") or not key.startswith(classes or ("\0",))
    }


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if not prefix and key in NO_SETTING:
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = _shown(plain(value))
    return found


def _shown(value: Any) -> Any:
    """Return a number or a word; of a node with a class, the class's name."""
    if isinstance(value, Mapping) and "_target_" in value:
        value = value["_target_"]
    if isinstance(value, str) and value.startswith("toonlab."):
        return value.rpartition(".")[2]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
