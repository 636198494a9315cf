"""`+sweep=NAME`, `+search=NAME`: what it is for and what it varies, read off its file before Hydra composes.

Such a file names its methods in its first comment line, `# methods: a, b`, or `# methods: all` for every
method that learns. A file of the user's own without such a line is for any method.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from toonlab.errors import UsageError
from toonlab.sweeps.worker import SWEEP

GROUPS = ("sweep", "search")
"""Of conf/: the files that say what several runs vary."""

_SHOWS_ONLY = {"--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}


def check_sweep(argv: list[str], conf: Path) -> None:
    """Refuse a sweep or a search over what the chosen methods do not have, before any job starts.

    Raises:
        UsageError: naming the methods that it is for, and those of its kind that the method has.
    """
    overrides, folders = _overrides(argv), _folders(argv, conf)
    is_many = {"-m", "--multirun"} & set(argv) or _SHOWS_ONLY & set(argv) or SWEEP in os.environ
    for group in GROUPS:
        if group not in overrides:
            continue
        line = str(overrides[group].input_line)
        if not line.startswith(("+", "~")):
            raise UsageError(f"{line}: write +{line} -m")
        names = _named(overrides, group)
        if overrides[group].is_sweep_override():
            raise UsageError(
                f"{line}: one {group} a command; '+{group}=[{','.join(names)}]' runs all their combinations"
            )
        if names and not is_many:
            raise UsageError(f"{line}: a {group} is several runs; add -m")
        for name in names:
            _check_one(group, name, _methods(overrides, folders), folders)
    sweeper = overrides.get("hydra/sweeper")
    if sweeper and sweeper.value() == "optuna" and not is_many:
        raise UsageError(f"{sweeper.input_line}: a search is several runs; add -m")


def varied(argv: list[str], conf: Path) -> dict[str, str]:
    """Return what the sweeps and searches of a command line vary: keys, and their values as in the files."""
    overrides, folders = _overrides(argv), _folders(argv, conf)
    return {
        key: str(value)
        for group in GROUPS
        for name in _named(overrides, group)
        for key, value in _params(_found(group, name, folders)).items()
    }


def methods_of(sweep: str, folders: Iterable[Path], group: str = "sweep") -> list[str] | None:
    """Return the methods that a sweep's first comment line names; None if it names none."""
    folders = list(folders)
    path = _found(group, sweep, folders)
    comments = [line for line in _lines(path) if line.startswith("#") and "@package" not in line]
    named = re.fullmatch(r"#\s*methods:\s*(.+)", comments[0]) if comments else None
    if named is None:
        return None
    methods = [method.strip() for method in named[1].split(",")]
    return _learning(folders) if methods == ["all"] else methods


def _check_one(group: str, name: str, methods: list[str], folders: list[Path]) -> None:
    known = methods_of(name, folders, group)
    for method in methods:
        if known is not None and method not in known and method in _options("method", folders):
            raise UsageError(
                f"+{group}={name} is for {_words(known, folders)}, not for method={method}, "
                f"which {_instead(method, group, folders)}"
            )
    path = _found(group, name, folders)
    content = yaml.safe_load("\n".join(_lines(path))) or {}
    if beside := sorted(set(content) - {"hydra", "defaults"}):
        raise UsageError(
            f"{path}: sets {', '.join(beside)}, which no job would get; a {group} holds hydra.sweeper alone: "
            "type the rest, or put it in an experiment"
        )


def _overrides(argv: list[str]) -> Mapping[str, Override]:
    """Return the arguments that Hydra would understand by key; the last of a key counts."""
    parser, found = OverridesParser.create(), {}
    for argument in argv[1:]:
        if "=" in argument and not argument.startswith("-"):
            try:
                (override,) = parser.parse_overrides([argument])
            except HydraException:  # for Hydra to explain
                continue
            found[override.key_or_group] = override
    return found


def _named(overrides: Mapping[str, Override], group: str) -> list[str]:
    return _choices(overrides[group], ()) if group in overrides else []


def _choices(override: Override, known: Iterable[str]) -> list[str]:
    """Return the options of a group that `a`, `[a,b]`, `a,b`, `choice(a,b)` or `glob(a*)` choose."""
    value = override.value()
    if isinstance(value, Glob):
        return value.filter(list(known))
    if override.is_sweep_override():
        return [str(choice) for choice in override.sweep_iterator()]
    chosen = value if isinstance(value, list) else [value]
    return [str(choice) for choice in chosen if choice is not None]


def _methods(overrides: Mapping[str, Override], folders: list[Path]) -> list[str]:
    """Return the methods to be trained: the command line's, else the sweep's, else the experiment's."""
    if "method" in overrides:
        return _choices(overrides["method"], _options("method", folders))
    for group in GROUPS:
        for name in _named(overrides, group):
            if "method" in (params := _params(_found(group, name, folders))):
                return [method.strip() for method in str(params["method"]).split(",")]
    default = _default(folders[0] / "train.yaml", "method")
    experiments = overrides.get("experiment")
    chosen = _choices(experiments, _options("experiment", folders)) if experiments else []
    pinned = [_default(_found("experiment", name, folders), "method") or default for name in chosen]
    return [method for method in dict.fromkeys(pinned or [default]) if method]


def _default(path: Path | None, group: str) -> str | None:
    """Return the option of a group that a config's defaults list chooses or overrides."""
    for entry in (yaml.safe_load("\n".join(_lines(path))) or {}).get("defaults", []):
        for key, option in entry.items() if isinstance(entry, dict) else ():
            if key.removeprefix("override ").removeprefix("/") == group:
                return str(option)
    return None


def _params(path: Path | None) -> dict[str, Any]:
    node = yaml.safe_load("\n".join(_lines(path))) or {}
    for key in ("hydra", "sweeper", "params"):
        node = node.get(key) or {}
    return dict(node)


def _instead(method: str, group: str, folders: list[Path]) -> str:
    known = {name: methods_of(name, folders, group) for name in _options(group, folders)}
    fitting = [name for name, methods in known.items() if methods is None or method in methods]
    return f"has +{group}={f' or +{group}='.join(fitting)}" if fitting else "learns nothing"


def _words(methods: list[str], folders: list[Path]) -> str:
    if methods == _learning(folders):
        return "methods that learn"
    return " or ".join(f"method={method}" for method in methods)


def _learning(folders: list[Path]) -> list[str]:
    return [method for method in _options("method", folders) if not method.startswith("flow")]


def _folders(argv: list[str], conf: Path) -> list[Path]:
    """Return where configs are looked for: ours, and the user's own."""
    places = [argument for argument in argv if argument.startswith("hydra.searchpath=")]
    return [conf, *(Path(found) for place in places for found in re.findall(r"file://([^,\]'\"]+)", place))]


def _options(group: str, folders: Iterable[Path]) -> list[str]:
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _found(group: str, name: str, folders: Iterable[Path]) -> Path | None:
    """Return a group's file; None if there is none, which Hydra explains."""
    paths = (folder / group / f"{name}.yaml" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _lines(path: Path | None) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path else []
