"""From a config to objects, with errors that name the key."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from toonlab.app.cli import CONF
from toonlab.errors import UsageError, did_you_mean

log = logging.getLogger(__name__)


def as_plain(value: Any) -> Any:
    """Return a setting as Python's own lists, dictionaries and values."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def composed(config: str, *overrides: str) -> DictConfig:
    """Compose `conf/<config>.yaml`, also in a process that Hydra has not started.

    Raises:
        Exception: Hydra's or OmegaConf's, of an override that does not fit.
    """
    if GlobalHydra.instance().is_initialized():
        return compose(config, list(overrides))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config, list(overrides))


def make(cfg: Any, key: str, **more: Any) -> Any:
    """Instantiate the node at `key` of `cfg` (all nodes below it too), lists and dicts plain.

    Raises:
        UsageError: a constructor refused its arguments; the message names the key.
    """
    node = OmegaConf.select(cfg, key)
    if node is None or "_target_" not in node:
        raise UsageError(f"{key}: nothing to build here; choose an option of the group, see --help")
    try:
        return instantiate(node, **more, _convert_="all")
    except InstantiationException as error:
        if (plain := _plain(error, cfg, key)) is None:
            raise
        raise plain from error


def _plain(error: InstantiationException, cfg: Any, key: str) -> UsageError | None:
    """Return what a wrong value in the config deserves; None for an error of ours."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
        if isinstance(cause, UsageError):
            return cause
    place = re.search(r"full_key: (\S+)", str(error))
    where = place[1] if place else key
    if missing := re.search(r"Error locating target '([^']+)'", str(error)):
        return UsageError(f"{where}._target_={missing[1]}: no such class{_nearest_class(missing[1])}")
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
    if not isinstance(cause, TypeError) or not unexpected:
        of_the_value = isinstance(cause, ValueError | TypeError | ImportError | InstantiationException)
        return UsageError(f"{where}: {str(cause).splitlines()[0]}") if of_the_value else None
    node = OmegaConf.select(cfg, where)
    known = _parameters(node)
    hint = did_you_mean(unexpected[1], known)
    return UsageError(f"{where}.{unexpected[1]}: {node['_target_']} takes no such argument{hint}")


def _nearest_class(target: str) -> str:
    module, _, name = target.rpartition(".")
    try:
        return did_you_mean(name, vars(importlib.import_module(module)))
    except (ImportError, ValueError):
        return ""


def _parameters(node: DictConfig) -> set[str]:
    """Names that the node's class takes, through `**common` up to its bases."""
    target = get_object(node["_target_"])
    classes = target.__mro__ if isinstance(target, type) else [target]
    names: set[str] = set()
    for each in classes:
        if each is not object:
            names |= set(inspect.signature(each).parameters)
    return names - {"self", "args", "kwargs", "common"}


def quiet() -> None:
    """Silence what libraries say on every run and no user can act on."""
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.pytorch.accelerators.cuda",
        "lightning.fabric.utilities.distributed",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*callback states in the checkpoint.*",
        ".*LeafSpec.*",
        ".*The `srun` command is available.*",
        ".*module\\(s\\) in eval mode at the start of training.*",  # the frozen feature networks
        ".*have no `validation_step`.*",
    ):
        warnings.filterwarnings("ignore", message)


def device_named(name: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` names.

    Raises:
        UsageError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device={name}: not usable on this machine; try device=cpu") from error
    return device


def environment() -> dict[str, Any]:
    """Versions, commit and hardware: what a figure must be quoted with."""
    packages = ("torch", "torchvision", "lightning", "torchmetrics", "kornia", "scikit-image", "numpy")
    return {
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in packages}},
        "git_commit": _git_commit(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch_threads": torch.get_num_threads(),
    }


def _git_commit() -> str | None:
    here = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 (the user's own git)
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
