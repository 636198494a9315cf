"""Hydra's launcher for `-m`: it works out the jobs, `toonlab.sweeps` runs them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from toonlab.errors import UsageError
from toonlab.sweeps import sweep
from toonlab.sweeps.command_line import RESUMES, definition_of
from toonlab.sweeps.devices import visible
from toonlab.sweeps.manifest import Job, identity
from toonlab.sweeps.scheduler import Room


class LocalLauncher(Launcher):
    """Runs jobs on this host, each in a process of its own, on devices that are its own meanwhile.

    Args:
        devices: `auto`, all that are visible; a list of names; or null, the processor alone.
        jobs_per_device: that share one. Without devices: jobs at a time, null for one to four cores.
        on_error: `continue` with the other jobs, or `stop` them.
        report: write a page about the runs at the end.
    """

    def __init__(self, devices: Any, jobs_per_device: int | None, on_error: str, report: bool) -> None:
        if on_error not in ("continue", "stop"):
            raise UsageError(f"hydra.launcher.on_error={on_error}: continue or stop")
        if jobs_per_device is not None and (not isinstance(jobs_per_device, int) or jobs_per_device < 1):
            raise UsageError(f"hydra.launcher.jobs_per_device={jobs_per_device}: a whole number, 1 or more")
        self.devices, self.jobs_per_device = devices, jobs_per_device
        self.on_error, self.report = on_error, report
        self.config: DictConfig | None = None
        self.context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        if self.config is None or self.context is None:
            raise RuntimeError("launch before setup")
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        folder = Path(str(self.config.hydra.sweep.dir)).expanduser().absolute()
        jobs, plans = self._jobs(job_overrides, initial_job_idx)
        sweep.run(
            folder,
            definition_of(sys.argv),
            jobs,
            plans,
            room=self._room(jobs),
            script=Path(sys.argv[0]).absolute(),
            extra=[w for w in self.config.hydra.overrides.hydra if w.startswith("hydra.searchpath=")],
            stop_on_error=self.on_error == "stop",
            report=self.report,
            resume=RESUMES in os.environ,
        )
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = None
        return [done] * len(job_overrides)

    def _jobs(
        self, job_overrides: Sequence[Sequence[str]], first: int
    ) -> tuple[list[Job], dict[str, dict[str, Any]]]:
        """Compose every job: a mistake in one is told before any of them starts."""
        jobs: list[Job] = []
        plans: dict[str, dict[str, Any]] = {}
        fixed = set(self.config.hydra.overrides.task) if self.config else set()
        for number, given in enumerate(job_overrides, first):
            overrides = [word for word in given if not word.startswith(("+sweep=", "sweep="))]
            composed = self.context.config_loader.load_sweep_config(self.config, list(given))  # type: ignore[union-attr, arg-type]
            with open_dict(composed):
                composed.hydra.job.id = composed.hydra.job.num = number
            HydraConfig.instance().set_config(composed)
            subdir = str(composed.hydra.sweep.subdir)
            with open_dict(composed):
                del composed["hydra"]
            plan: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
            name = identity(plan)
            if name in plans:
                twin = next(job for job in jobs if job.id == name)
                raise UsageError(f"jobs {twin.number} and {number} are the same: {' '.join(overrides)}")
            plans[name] = plan
            swept = [word for word in filter_overrides(overrides) if word not in fixed]
            count = plan["trainer"].get("devices", 1)
            jobs.append(
                Job(
                    id=name,
                    number=number,
                    overrides=overrides,
                    swept=swept,
                    folder=subdir,
                    iterations=int(plan["iterations"]),
                    devices=count if isinstance(count, int) and count > 0 else 1,
                )
            )
        return jobs, plans

    def _room(self, jobs: Sequence[Job]) -> Room:
        if self.devices is None:
            cores = len(os.sched_getaffinity(0))
            slots = min(self.jobs_per_device or max(1, cores // 4), len(jobs))
            return Room(
                [], slots, {"OMP_NUM_THREADS": str(max(1, cores // slots)), "CUDA_VISIBLE_DEVICES": ""}
            )
        named = {} if self.devices == "auto" else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.devices))}
        found = visible({**os.environ, **named})
        if not found:
            raise UsageError("hydra/launcher=gpus: no GPU is visible here; use hydra/launcher=cpus")
        most = max(job.devices for job in jobs)
        if most > len(found):
            raise UsageError(
                f"trainer.devices={most}: there are {len(found)} ({', '.join(map(shlex.quote, found))}); ask "
                "for fewer, or show more in CUDA_VISIBLE_DEVICES"
            )
        return Room(found, self.jobs_per_device or 1, {})
