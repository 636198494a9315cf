"""The `cli` and `composed` fixtures: a command in a process of its own, and its config in this one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from commands import Cli, command, environment
from toonlab.app.cli import CONF, register_resolvers
from warm import Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    started = Warm()
    yield started
    started.close()


@pytest.fixture
def cli(tmp_path: Path, warm: Warm) -> Cli:
    """Run a script from a strange working directory; its outputs go to the test's folder.

    With variables of the environment, which may be for its imports, it is a process that begins from nothing.
    """

    def run(script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        own: dict[str, Any] = {"cwd": tmp_path, "env": environment(tmp_path, **more), "timeout": 300}
        words = command(script, *arguments)
        if not more:
            return warm.run(words[1:], **own)
        return subprocess.run(words, capture_output=True, text=True, **own)

    return run


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., DictConfig]:
    register_resolvers()

    def make(*overrides: str, config: str = "train") -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(config, [f"hydra.run.dir={tmp_path}", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        hydra = HydraConfig.instance().cfg
        OmegaConf.set_readonly(hydra.hydra, False)
        hydra.hydra.runtime.output_dir = str(tmp_path)
        with open_dict(cfg):
            del cfg["hydra"]
        if "outputs_dir" in cfg:
            cfg.outputs_dir = str(tmp_path)
        return cfg

    return make


@pytest.fixture
def reads_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Path]]:
    """Return a list that grows with every reading of a checkpoint."""

    def watch(path: Path) -> list[Path]:
        reads, load = list[Path](), torch.load

        def counted(file: object, *arguments: object, **more: object) -> object:
            if file == path:
                reads.append(path)
            return load(file, *arguments, **more)

        monkeypatch.setattr(torch, "load", counted)
        return reads

    return watch
