"""Jobs for sweeps.py that say when they began and ended: one that sleeps, and a clock inside a training.

Each line of `$TOONLAB_CLOCKS/<pid>.jsonl` is what happened, in which job, when, in seconds since 1970.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

SLEEPER = {"iterations": 1, "pause": 0.1, "trainer": {"devices": 1}}


def note(what: str, job: int) -> None:
    line = {"what": what, "job": job, "device": os.environ.get("TOONLAB_DEVICE"), "time": time.time()}
    with Path(os.environ["TOONLAB_CLOCKS"], f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(line | {"pid": os.getpid(), "started": started()}) + "\n")


def started() -> float:
    """Return when this process was made, to a hundredth of a second."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - (uptime - ticks / os.sysconf("SC_CLK_TCK"))


def number() -> int:
    """Return which job of the sweep this is, by its folder, which all launchers give its number."""
    return int(Path(HydraConfig.get().runtime.output_dir).name.split("_")[0])


def clock() -> object:
    """Return a callback that notes the first iteration's begin, and the end of training."""
    from lightning.pytorch import Callback  # here: a sleeper needs no torch

    class Clock(Callback):
        begun = False

        def on_train_batch_start(self, *_: object) -> None:
            if not self.begun:
                self.begun = True
                note("begin", number())

        def on_train_end(self, *_: object) -> None:
            note("end", number())

    return Clock()


@hydra.main(version_base="1.3", config_path=None, config_name="sleeper")
def sleep(cfg: DictConfig) -> None:
    note("begin", number())
    time.sleep(cfg.iterations * cfg.pause)
    note("end", number())
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / "result.json").write_text('{"status": "finished"}')


if __name__ == "__main__":
    ConfigStore.instance().store(name="sleeper", node=SLEEPER)
    sleep()
