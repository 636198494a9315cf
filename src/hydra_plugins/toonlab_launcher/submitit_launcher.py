"""`hydra/launcher=submitit_slurm` and `submitit_local`: Hydra's launcher of jobs on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra_plugins.toonlab_launcher.launcher import SweepLauncher, at_least
from toonlab.sweeps.engine import Engine
from toonlab.sweeps.submitit_engine import Submitit


class SubmititLauncher(SweepLauncher):
    """Submits each job by itself.

    Args:
        cluster: `slurm`; `local`, to rehearse on this host's processor.
        at_once: jobs queued or running at a time; further ones wait here.
        timeout_min: time limit of a job, in minutes; it saves, and is queued again.
        max_timeouts: how often that may happen.
        signal_delay_seconds: how long before the end of its time a job saves.
        cpus_per_task: cores of a job.
        mem_gb: memory of a job, null for the cluster's default; likewise partition, account, qos, constraint.
        setup: lines of shell in front of a job.
        slurm: any further parameters of submitit's for SLURM.
        poll_seconds: between two questions to the queue.
        more: see `SweepLauncher`.
    """

    def __init__(
        self,
        *,
        cluster: str,
        at_once: int,
        timeout_min: int,
        max_timeouts: int,
        signal_delay_seconds: int,
        cpus_per_task: int,
        mem_gb: float | None,
        partition: str | None,
        account: str | None,
        qos: str | None,
        constraint: str | None,
        setup: Sequence[str],
        slurm: Mapping[str, Any] | None,
        poll_seconds: float,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        numbers = {"at_once": at_once, "timeout_min": timeout_min, "cpus_per_task": cpus_per_task}
        for name, value in numbers.items():
            at_least(1, name, value)
        at_least(0, "max_timeouts", max_timeouts)
        self.cluster, self.at_once, self.max_timeouts = cluster, at_once, max_timeouts
        self.poll_seconds, self.cpus = poll_seconds, cpus_per_task
        of_slurm = {
            "partition": partition,
            "account": account,
            "qos": qos,
            "constraint": constraint,
            "setup": list(setup) or None,
            "signal_delay_s": signal_delay_seconds,
            "stderr_to_stdout": True,
            **(slurm or {}),
        }
        both = {"timeout_min": timeout_min, "cpus_per_task": cpus_per_task, "mem_gb": mem_gb}
        prefixed = {f"slurm_{name}": value for name, value in of_slurm.items()} if cluster == "slurm" else {}
        self.parameters = {name: value for name, value in (both | prefixed).items() if value is not None}

    def engine(self, *, jobs: int, devices: int) -> Engine:
        local = {"CUDA_VISIBLE_DEVICES": ""} if self.cluster == "local" else {}
        return Submitit(
            self.folder,
            cluster=self.cluster,
            at_once=self.at_once,
            max_timeouts=self.max_timeouts,
            parameters=self.parameters,
            poll_seconds=self.poll_seconds,
            script=self.script,
            extra=self.extra,
            environment={"OMP_NUM_THREADS": str(self.cpus), **local},
        )
