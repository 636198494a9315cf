"""`resume=RUN_DIR`: the same command again, in the same folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf

from toonlab.app.ranks import is_first_process
from toonlab.errors import UsageError
from toonlab.sweeps.leases import lock
from toonlab.sweeps.words import key_of, quoted

RESUMED = "TOONLAB_RESUMED"  # set for the children that Lightning starts with our rewritten arguments

DASHBOARDS = ("wandb", "tensorboard", "mlflow")
"""Nodes that the group `logger` sets; null where the dashboard is not used."""

MAY_CHANGE = frozenset(
    {"iterations", "trainer", "logger", *DASHBOARDS, "log_every", "eval_every", "save_every", "hydra"}
)
"""What a resumed run may be given anew: how long and on what it runs, not what it learns."""


def resumed_arguments(argv: list[str]) -> list[str]:
    """Replace `resume=RUN_DIR` by the run's own overrides and its folder; other command lines pass.

    Raises:
        UsageError: there is no run to resume, or an override would make it another experiment.
    """
    asked = [argument for argument in argv if argument.startswith("resume=")]
    folder = asked[-1].removeprefix("resume=") if asked else ""
    if folder in ("", "null"):
        return argv
    run = Path(folder).expanduser().resolve()
    if (run / "sweep.json").is_file():
        raise UsageError(f"resume={folder}: a sweep; go on with it with -m")
    if not (run / "config.yaml").is_file():
        raise UsageError(f"resume={folder}: no run there (no config.yaml); give a folder under outputs/")
    if not (run / "checkpoints" / "last.ckpt").is_file():
        raise UsageError(f"resume={folder}: the run saved no checkpoints/last.ckpt yet; start it anew")
    mine = [argument for argument in argv[1:] if not argument.startswith("resume=")]
    for argument in mine:
        name = key_of(argument).partition(".")[0]
        if not argument.startswith("-") and name not in MAY_CHANGE:
            raise UsageError(
                f"{argument}: a resumed run stays the same experiment and takes only "
                f"{', '.join(sorted(MAY_CHANGE))}; start a new run for anything else"
            )
    hydra = yaml.safe_load((run / ".hydra" / "hydra.yaml").read_text())["hydra"]["overrides"]
    os.environ[RESUMED] = "1"
    return [
        argv[0],
        *(argument for argument in hydra["hydra"] if argument.startswith("hydra.searchpath=")),
        *hydra["task"],
        *mine,
        f"resume={quoted(run)}",
        f"hydra.run.dir={quoted(run)}",
        "hydra.output_subdir=null",
    ]


def saved_config(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the run's own config, with what this command line may change taken from `cfg`.

    The configs in `conf/` may have moved on since the run began; the run has not. What it learns, and what
    from, is settled with the length it was begun with: a warm-up of a fifth does not grow when it goes on
    for longer.
    """
    run = Path(cfg.resume)
    saved = OmegaConf.load(run / "config.yaml")
    assert isinstance(saved, DictConfig)  # noqa: S101 (for mypy)
    ran = yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text()) or []
    for key in ("method", "data"):
        saved[key] = OmegaConf.to_container(saved[key], resolve=True)
    for override in overrides:
        key = key_of(override)
        if override in ran or key == "resume":
            continue
        for node in DASHBOARDS if key == "logger" else (key,):
            OmegaConf.update(saved, node, OmegaConf.select(cfg, node), merge=False)
    saved.resume = cfg.resume
    return saved


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run's folder; a killed one leaves nothing that would.

    Raises:
        UsageError: another process trains there.
    """
    if not is_first_process():
        yield
        return
    held = lock(folder / ".lock")
    if held is None:
        raise UsageError(f"{folder}: another process trains this run; wait for it, or stop it")
    try:
        yield
    finally:
        os.close(held)
