"""Hydra's launchers for `-m`: they work out the jobs and where these run, `toonlab.sweeps` runs them.

Hydra imports this file for every command, so nothing here imports torch or an engine's package.
"""

from __future__ import annotations

import os
import shlex
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from toonlab.app.jobs import composed_all
from toonlab.errors import UsageError
from toonlab.sweeps import sweep
from toonlab.sweeps.command_line import RESUMES, definition_of, how_of
from toonlab.sweeps.devices import visible
from toonlab.sweeps.engine import Engine
from toonlab.sweeps.local import Local


class SweepLauncher(Launcher):
    """Runs jobs in processes of their own, wherever its engine does.

    Args:
        on_error: `continue` with the other jobs, or `stop` them.
        report: write a page about the runs at the end.
    """

    def __init__(self, *, on_error: str, report: bool) -> None:
        if on_error not in ("continue", "stop"):
            raise UsageError(f"hydra.launcher.on_error={on_error}: continue or stop")
        self.on_error, self.report = on_error, report
        self.config: DictConfig
        self.context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        planned = composed_all(self.config, self.context, job_overrides, initial_job_idx)
        jobs = [each.job for each in planned]
        sweep.run(
            self.folder,
            definition_of(sys.argv),
            jobs,
            {each.job.id: each.plan for each in planned},
            engine=self.engine(jobs=len(jobs), devices=max(job.devices for job in jobs)),
            stop_on_error=self.on_error == "stop",
            report=self.script.with_name("report.py") if self.report else None,
            resume=RESUMES in os.environ,
            how=how_of(sys.argv),
        )
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = None
        return [done] * len(job_overrides)

    @property
    def folder(self) -> Path:
        """Of the sweep."""
        return Path(str(self.config.hydra.sweep.dir)).expanduser().absolute()

    @property
    def script(self) -> Path:
        return Path(sys.argv[0]).absolute()

    @property
    def extra(self) -> list[str]:
        """Arguments of Hydra's that every job needs."""
        return [word for word in self.config.hydra.overrides.hydra if word.startswith("hydra.searchpath=")]

    @abstractmethod
    def engine(self, *, jobs: int, devices: int) -> Engine:
        """Return what runs so many jobs, each on at most so many devices.

        Raises:
            UsageError: it cannot.
        """


def at_least(least: int, key: str, value: Any) -> None:
    """Refuse a number of a launcher that is not a whole one, or too small.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"hydra.launcher.{key}={value}: a whole number, {least} or more")


class LocalLauncher(SweepLauncher):
    """Runs jobs on this host, each on devices that are its own meanwhile.

    Args:
        devices: `auto`, all that are visible; a list of names; or null, the processor alone.
        jobs_per_device: that share one. Without devices: jobs at a time, null for one to four cores.
        more: see `SweepLauncher`.
    """

    def __init__(self, devices: Any, jobs_per_device: int | None, **more: Any) -> None:
        super().__init__(**more)
        if jobs_per_device is not None:
            at_least(1, "jobs_per_device", jobs_per_device)
        self.devices, self.jobs_per_device = devices, jobs_per_device

    def engine(self, *, jobs: int, devices: int) -> Engine:
        return self._on_processor(jobs) if self.devices is None else self._on_devices(devices)

    def _on_processor(self, jobs: int) -> Local:
        cores = len(os.sched_getaffinity(0))
        slots = min(self.jobs_per_device or max(1, cores // 4), jobs)
        environment = {"OMP_NUM_THREADS": str(max(1, cores // slots)), "CUDA_VISIBLE_DEVICES": ""}
        return Local([], slots=slots, environment=environment, script=self.script, extra=self.extra)

    def _on_devices(self, most: int) -> Local:
        named = {} if self.devices == "auto" else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.devices))}
        found = visible({**os.environ, **named})
        if not found:
            raise UsageError("hydra/launcher=gpus: no GPU is visible here; use hydra/launcher=cpus")
        if most > len(found):
            raise UsageError(
                f"trainer.devices={most}: there are {len(found)} ({', '.join(map(shlex.quote, found))}); ask "
                "for fewer, or show more in CUDA_VISIBLE_DEVICES"
            )
        return Local(
            found, slots=self.jobs_per_device or 1, environment={}, script=self.script, extra=self.extra
        )
