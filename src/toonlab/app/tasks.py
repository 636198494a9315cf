"""The first word of `src/prepare.py`: which task to do, or with which method to draw."""

from __future__ import annotations

import re
from pathlib import Path

from toonlab.errors import UsageError, did_you_mean

_DRAW = "draw"  # has no word of its own: the first word is the method


def task_of(argv: list[str], conf: Path) -> tuple[str, list[str]]:
    """Return the task that a command line names, and the command line that Hydra shall read.

    `[script, frames, source=DIR]` is the task `frames`; any other word is a method to draw with, so that
    `[script, flow, photos=DIR]` is the task `draw` with `method=flow`.

    Raises:
        UsageError: no word, or one that is neither a task nor a method.
    """
    tasks, methods = _tasks(conf), _methods(conf)
    word = argv[1] if len(argv) > 1 else ""
    if word in tasks:
        return word, [argv[0], *argv[2:]]
    drawing = [name for name in methods if name.startswith("flow")]
    if word.isidentifier():
        own = any(argument.startswith("hydra.searchpath=") for argument in argv)
        if word not in methods and not own:
            raise UsageError(
                f"{word}: no such task{did_you_mean(word, tasks + drawing)}; "
                f"there are {', '.join(tasks)}, and to draw photos {', '.join(drawing)}"
            )
        return _DRAW, [argv[0], f"method={word}", *argv[2:]]
    if any(argument.startswith("method=") for argument in argv):
        return _DRAW, argv
    raise UsageError(
        f"the first word says what to do: {', '.join(tasks)}, or, to draw photos, {', '.join(drawing)}; "
        "see --help"
    )


def help_of(argv: list[str], conf: Path) -> str | None:
    """Return what `--help` answers: all tasks, or one task's settings with their comments.

    None: no help is asked for, or it is Hydra's to give, because a method's settings have to be composed.
    """
    if not {"--help", "-h"} & set(argv[1:]):
        return None
    tasks, word = _tasks(conf), argv[1]
    if word in tasks:
        about, settings = _read(conf, word)
        return f"{about}\n\nSettings (change with key=value):\n\n{settings}\n"
    if word not in ("--help", "-h"):
        return None
    entries = []
    for name in [_DRAW, *tasks]:
        what, example = _read(conf, name)[0].splitlines()[:2]
        entries.append(f"  {'flow' if name == _DRAW else name:<9}{what}\n{'':<11}{example.strip()}\n")
    drawing = ", ".join(name for name in _methods(conf) if name.startswith("flow"))
    return (
        "Prepare images for training. The first word says what to do:\n\n"
        + "\n".join(entries)
        + f"\nWith {drawing} it draws; any of these words followed by --help lists the settings.\n"
    )


def _tasks(conf: Path) -> list[str]:
    names = (path.stem.removeprefix("prepare_") for path in conf.glob("prepare_*.yaml"))
    return sorted(name for name in names if name != _DRAW)


def _methods(conf: Path) -> list[str]:
    return sorted(path.stem for path in (conf / "method").glob("*.yaml"))


def _read(conf: Path, task: str) -> tuple[str, str]:
    """Return a config file's opening comment and its settings as written, less what Hydra alone reads."""
    opening, body = list[str](), list[str]()
    lines = (conf / f"prepare_{task}.yaml").read_text().splitlines()
    while lines and lines[0].startswith("#"):
        opening.append(lines.pop(0).removeprefix("#").removeprefix(" "))
    hidden = False
    for line in lines:
        if re.match(r"\w", line):
            hidden = line.startswith(("defaults:", "hydra:"))
        if not hidden:
            body.append(line)
    return "\n".join(opening), "\n".join(body).strip()
