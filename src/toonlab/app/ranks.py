"""Several processes for one run: who is who, what the further ones run, and in which folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from toonlab.errors import UsageError
from toonlab.sweeps.words import quoted

if TYPE_CHECKING:
    from toonlab.engine.ranks import Ranks

_NUMBERS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
_OURS = (None, "auto", "ddp", "ddp_find_unused_parameters_true")
_OF_SWEEPS = (
    "hydra.mode",
    "hydra.run.dir",
    "hydra.sweep",
    "hydra/sweeper",
    "hydra/launcher",
    "hydra.launcher",
)


def is_first_process() -> bool:
    """Whether no launcher numbered this process above 0; known before there is a Trainer."""
    return all(os.environ.get(name, "0") == "0" for name in _NUMBERS)


def who() -> str:
    """Return `process 1: ` for the second of a run's processes, and so on; nothing for the first."""
    numbers = (os.environ.get(name, "0") for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return "" if is_first_process() else f"process {next((n for n in numbers if n != '0'), '0')}: "


def strategy_for(cfg: DictConfig, folder: Path) -> dict[str, Ranks]:
    """Return `{"strategy": …}` for a Trainer on several devices, `{}` for one or if another was named.

    Raises:
        UsageError: the processes were started one by one, and would each take a folder of its own.
    """
    trainer = cfg.trainer
    several = trainer.get("num_nodes", 1) != 1 or trainer.get("devices", 1) not in (1, "1")
    named = trainer.get("strategy") not in (None, "auto")
    if trainer.get("strategy") not in _OURS or not (several or named):
        return {}
    _check_one_folder(trainer.get("num_nodes", 1))
    from toonlab.engine.ranks import Ranks  # torch is slow to import, and the command line reads this module

    return {"strategy": Ranks(command=_command(folder))}


def _check_one_folder(nodes: int) -> None:
    from toonlab.engine.processes import PARENT

    started_singly = PARENT not in os.environ and ("RANK" in os.environ or int(nodes) > 1)
    given = any(override.startswith("hydra.run.dir=") for override in HydraConfig.get().overrides.hydra)
    if started_singly and not given:
        raise UsageError(
            "the processes of this run were started one by one (torchrun, several machines) and would each "
            "make a folder: name one that all of them see, hydra.run.dir=DIR"
        )


def _command(folder: Path) -> list[str]:
    """Return this command for one more process, in the same folder; of a job of a sweep, that job alone."""
    hydra = HydraConfig.get()
    words = sys.argv[1:]
    if hydra.mode == RunMode.MULTIRUN:
        kept = [word for word in hydra.overrides.hydra if not word.lstrip("+").startswith(_OF_SWEEPS)]
        paths = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
        words = [*(f"--config-dir={path}" for path in paths), *kept, *hydra.overrides.task]
    script: Any = Path(hydra.runtime.cwd, sys.argv[0])
    return [
        sys.executable,
        str(script),
        *words,
        f"hydra.run.dir={quoted(folder.absolute())}",
        "hydra.output_subdir=null",  # rank 0 has written .hydra/
    ]
