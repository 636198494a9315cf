"""Jobs on a Ray cluster, or on a Ray of this process' own."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError
from toonlab.sweeps import remote
from toonlab.sweeps.afar import Afar
from toonlab.sweeps.engine import Orphan, Running, orphan
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.needs import gpus_of, imported, python_path
from toonlab.sweeps.remote import RemoteJob

log = logging.getLogger(__name__)

SENT = ("TOONLAB_", "WANDB_", "MLFLOW_", "HF_", "PYTHONPATH")
"""Beginnings of variables that jobs get from here: the processes of a cluster were started somewhere else."""

_MEMORY = 100 * 2**20
"""Bytes for Ray's own store of objects, in which we put nothing."""


class RayJob(Afar):
    """A job that Ray has, waiting or at work; it ends with this process, as Ray has it."""

    def __init__(self, manifest: Manifest, job: Job, task: Any, ray: Any, gpus: float) -> None:
        super().__init__(manifest, job)
        self.gpus = gpus
        self._task, self._ray = task, ray

    def has_returned(self) -> bool:
        return bool(self._ray.wait([self._task], timeout=0)[0])

    def waits(self) -> bool:
        return False

    def name(self) -> str:
        return "Ray"

    def code(self) -> int | None:
        return self._outcome()[0]

    def fate(self) -> str:
        return f"Ray: {self._outcome()[1]}"

    def _outcome(self) -> tuple[int | None, str]:
        """Return what the job returned, or why it did not."""
        try:
            return self._ray.get(self._task), ""
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return None, lines[0] if lines else type(error).__name__


class Ray:
    """The engine of a Ray cluster.

    Args:
        address: of a cluster, `auto` for the one on this host; None for one of our own.
        gpus_per_job: None for all that its config asks for, or less than one to share it.
        cpus_per_job: cores that Ray sets aside for a job.
        max_retries: how often a job goes on elsewhere after its node or worker is lost.
        start: further arguments of `ray.init` for one of our own.
        script: train.py.
        extra: arguments of Hydra's for all jobs.
        environment: variables for all jobs.

    Raises:
        UsageError: Ray or the cluster is not there.
    """

    def __init__(
        self,
        *,
        address: str | None,
        gpus_per_job: float | None,
        cpus_per_job: int,
        max_retries: int,
        start: Mapping[str, Any],
        script: Path,
        extra: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.gpus_per_job, self.max_retries = gpus_per_job, max_retries
        self.script, self.extra, self.environment = script, extra, environment
        self.ray = _connected(address, start)
        self.cpus = min(cpus_per_job, int(self._most("CPU")) or 1)
        self._started: list[RayJob] = []
        self._warned = False

    def share(self, gpus: int) -> float:
        """Return how much of a GPU, or how many, a job gets that trains on so many."""
        return self.gpus_per_job if gpus == 1 and self.gpus_per_job is not None else gpus

    def has_room(self, devices: int) -> bool:
        return self._fits(self.share(devices) if self._most("GPU") else 0)

    def start(self, manifest: Manifest, job: Job) -> Running | None:
        gpus, most = self.share(gpus_of(manifest, job)), self._most("GPU")
        if gpus > most:  # Ray would wait for such a node for ever
            raise OSError(f"it needs {gpus:g} GPUs, the largest node of this Ray has {most:g}")
        if not gpus and most and not self._warned:
            log.warning("This Ray has GPUs, which trainer=gpu would use; these jobs train on the processor.")
            self._warned = True
        if not self._fits(gpus):
            return None
        if orphan(manifest, job):
            return Orphan(manifest, job)
        remote.forget(manifest, job)
        sent = {name: value for name, value in os.environ.items() if name.startswith(SENT)}
        call = RemoteJob(
            manifest.folder,
            job,
            script=self.script,
            extra=self.extra,
            environment=sent | dict(self.environment),
        )
        task = self._remote(gpus).remote(call)
        job.state, job.device = "queued", "Ray"
        started = RayJob(manifest, job, task, self.ray, gpus)
        self._started.append(started)
        return started

    def outlived(self, manifest: Manifest, job: Job) -> Running | None:
        return orphan(manifest, job)

    def farewell(self, left: Sequence[Running]) -> str:
        return ""

    def _remote(self, gpus: float) -> Any:
        # Retries are for lost nodes and workers alone: a run that fails returns its exit status. A worker may
        # take any number of jobs (Ray's rule for GPUs is one), for the runs are processes of their own.
        options = {"num_cpus": self.cpus, "num_gpus": gpus, "max_retries": self.max_retries, "max_calls": 0}
        return self.ray.remote(**options)(_call)

    def _fits(self, gpus: float) -> bool:
        """Whether the whole cluster has room for one more of ours; others' jobs are for Ray to queue."""
        self._started = [each for each in self._started if not each.is_over()]
        whole = self.ray.cluster_resources()
        taken = sum(each.gpus for each in self._started)
        cores = self.cpus * (len(self._started) + 1)
        return bool(cores <= whole.get("CPU", 0) and taken + gpus <= whole.get("GPU", 0) + 1e-6)

    def _most(self, resource: str) -> float:
        nodes = [node["Resources"].get(resource, 0.0) for node in self.ray.nodes() if node["Alive"]]
        return float(max(nodes, default=0.0))


def _call(job: RemoteJob) -> int:
    return job()


def _connected(address: str | None, start: Mapping[str, Any]) -> Any:
    # Read when Ray is imported: it would report what it is used for, and hide GPUs by a rule of yesterday.
    for name, value in {"USAGE_STATS_ENABLED": "0", "ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}.items():
        os.environ.setdefault(f"RAY_{name}", value)
    ray = imported("ray", extra="ray", why="hydra/launcher=ray")
    common = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "ignore_reinit_error": True,
        "runtime_env": {"env_vars": {"PYTHONPATH": python_path()}},
    }
    own = {"include_dashboard": False, "object_store_memory": _MEMORY, **start}
    try:
        if address:
            _knock(address)
            ray.init(address=address, **common)
        else:
            ray.init(address="local", **own, **common)
    except (ConnectionError, ValueError, RuntimeError, OSError, TypeError) as error:
        said = str(error).strip().splitlines()
        raise UsageError(
            f"hydra.launcher.address={address}: no Ray there ({said[0] if said else type(error).__name__}); "
            "start one with ray start --head, or leave it out; if it wants a token, set RAY_AUTH_MODE=token"
        ) from error
    return ray


def _knock(address: str) -> None:
    """Find out whether somebody listens at HOST:PORT; Ray would take a minute, and end the process."""
    if found := re.fullmatch(r"\[?(?P<host>[^/]+?)\]?:(?P<port>\d+)", address):
        socket.create_connection((found["host"], int(found["port"])), timeout=10).close()
