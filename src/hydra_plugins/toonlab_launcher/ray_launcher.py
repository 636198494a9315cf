"""`hydra/launcher=ray`: Hydra's launcher of jobs on Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra_plugins.toonlab_launcher.launcher import SweepLauncher, at_least
from toonlab.errors import UsageError
from toonlab.sweeps.engine import Engine
from toonlab.sweeps.ray_engine import Ray


class RayLauncher(SweepLauncher):
    """Makes each job a task of Ray's.

    Args:
        address: `HOST:6379` of a cluster, `auto` for the one on this host; null for one of its own.
        gpus_per_job: null for `trainer.devices`; 0.5 lets two jobs share a GPU.
        cpus_per_job: cores that Ray sets aside for a job.
        max_retries: how often a job goes on elsewhere after its node was lost.
        start: further arguments of `ray.init`, for one of its own.
        more: see `SweepLauncher`.
    """

    def __init__(
        self,
        *,
        address: str | None,
        gpus_per_job: float | None,
        cpus_per_job: int,
        max_retries: int,
        start: Mapping[str, Any] | None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        at_least(1, "cpus_per_job", cpus_per_job)
        at_least(0, "max_retries", max_retries)
        if gpus_per_job is not None and not 0 < gpus_per_job <= 1:
            raise UsageError(
                f"hydra.launcher.gpus_per_job={gpus_per_job}: above 0, at most 1 (0.5: two share a GPU); "
                "whole GPUs are trainer.devices"
            )
        self.address, self.gpus_per_job, self.cpus_per_job = address, gpus_per_job, cpus_per_job
        self.max_retries, self.start = max_retries, start

    def engine(self, *, jobs: int, devices: int) -> Engine:
        return Ray(
            address=self.address,
            gpus_per_job=self.gpus_per_job,
            cpus_per_job=self.cpus_per_job,
            max_retries=self.max_retries,
            start=dict(self.start or {}),
            script=self.script,
            extra=self.extra,
            environment={},
        )
