"""What `-m` means on the command line of `src/train.py`, before Hydra sees it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toonlab.errors import UsageError
from toonlab.sweeps.devices import FAKE, visible
from toonlab.sweeps.manifest import NAME, load
from toonlab.sweeps.words import key_of, masked, quoted

RESUMES = "TOONLAB_SWEEP_RESUMES"
"""Set for the launcher of this very process: the sweep goes on."""

LAUNCHER = ("hydra/launcher", "hydra.launcher")
"""Keys that a sweep that goes on may be given anew."""

HOW = (*LAUNCHER, "hydra.sweep.dir", "resume")
"""Keys that say how or where a sweep runs, not what it is."""

MAY_CHANGE = ("hydra.sweeper.n_trials", "hydra.sweeper.storage")
"""Keys of a search that goes on: how many trials, and a password that is not kept."""

_OF_HOST = ("hydra/launcher", "hydra.launcher.devices")
"""Keys whose values another host may not have."""

IMPLIED = {"trainer=gpu"}
"""What `sweep_arguments` adds where there is a GPU: a sweep may go on on another host."""

ON_HOST = ("cpus", "gpus")
"""Launchers that are chosen by what the host has, whenever a sweep is begun or goes on."""

ON_CLUSTER = ("submitit_slurm",)
"""Launchers to GPUs that the host which begins a sweep cannot see."""


def is_sweep(argv: Sequence[str]) -> bool:
    """Whether Hydra is to run several jobs."""
    return bool({"-m", "--multirun"} & set(argv))


def definition_of(argv: Sequence[str]) -> list[str]:
    """Return the words that say what is swept, in their order: of two for one key the last one holds.

    They are written down, so a password is left out.
    """
    words = [word for word in argv[1:] if not word.startswith("-")]
    what = [word for word in words if not key_of(word).startswith(HOW)]
    return [masked(word) if key_of(word) in MAY_CHANGE else word for word in what]


def how_of(argv: Sequence[str]) -> list[str]:
    """Return the words that say how the jobs are launched, without a launcher that the host chooses."""
    words = [word for word in argv[1:] if key_of(word).startswith(LAUNCHER)]
    if _launcher(words) not in ("", *ON_HOST):
        return words
    return [word for word in words if key_of(word) not in _OF_HOST]


def sweep_arguments(argv: list[str]) -> list[str]:
    """Turn `-m resume=SWEEP_DIR` into the sweep that was begun there, and choose a launcher if none is named.

    Raises:
        UsageError: there is no sweep, or the words say another one than it was begun with.
    """
    if not is_sweep(argv) or any(word in argv for word in ("--help", "-h", "--cfg", "-c", "--info", "-i")):
        return argv
    folders = [word.partition("=")[2] for word in argv if word.startswith("resume=")]
    goes_on = bool(folders) and folders[-1] not in ("", "null")
    if goes_on:
        argv = _going_on(argv, Path(folders[-1]).expanduser().absolute())
    # In front: argparse understands overrides on one side of -m alone.
    argv = [argv[0], "-m", *(word for word in argv[1:] if word not in ("-m", "--multirun"))]
    launcher = _launcher(argv)
    names_trainer = FAKE in os.environ or any(key_of(word) == "trainer" for word in argv)
    wants_processor = any(word in ("trainer=cpu", "trainer.accelerator=cpu") for word in argv) or (
        goes_on and not names_trainer  # begun on one, be there GPUs here or not
    )
    chosen = wants_processor or names_trainer
    if launcher in ON_CLUSTER and not chosen:
        return [*argv, *IMPLIED]
    if launcher and launcher != "ray":
        return argv
    gpus = visible()
    if launcher:  # a cluster behind an address is known only once it is asked
        return [*argv, *IMPLIED] if gpus and not chosen else argv
    if not gpus or wants_processor:
        return [*argv, "hydra/launcher=cpus"]
    return [*argv, "hydra/launcher=gpus", *([] if chosen else IMPLIED)]


def _launcher(words: Sequence[str]) -> str:
    named = [word.partition("=")[2] for word in words if key_of(word) == "hydra/launcher"]
    return named[-1] if named else ""


def _going_on(argv: Sequence[str], folder: Path) -> list[str]:
    if not (folder / NAME).is_file() and (folder / "config.yaml").is_file():
        raise UsageError(f"resume={folder}: a single run; go on with it without -m")
    kept = load(folder)
    begun, given = kept.definition, definition_of(argv)
    how = [word for word in argv[1:] if key_of(word).startswith(LAUNCHER) or word.startswith("-")]
    changed = {key_of(word): word for word in argv[1:] if key_of(word) in MAY_CHANGE}
    given = [word for word in given if key_of(word) not in MAY_CHANGE]
    fixed = [word for word in begun if key_of(word) not in MAY_CHANGE]
    if given and set(given) - IMPLIED != set(fixed) - IMPLIED:
        new = [f"+ {word}" for word in given if word not in begun]
        gone = [f"- {word}" for word in fixed if word not in given]
        raise UsageError(
            f"resume={folder}: begun as another sweep ({'; '.join([*new, *gone])}); say -m resume={folder} "
            "alone, or start a new one"
        )
    os.environ[RESUMES] = "1"
    begun = [*(word for word in begun if key_of(word) not in changed), *changed.values()]
    if not _launcher(how):  # as it was run last: its jobs may still be in a cluster's queue
        how = [*kept.how, *how]
    return [argv[0], *begun, *how, f"hydra.sweep.dir={quoted(folder)}"]
