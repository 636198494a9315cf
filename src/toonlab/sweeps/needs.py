"""What jobs need: GPUs, and packages that are not everybody's."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from toonlab.errors import UsageError
from toonlab.sweeps.manifest import Job, Manifest


def gpus_of(manifest: Manifest, job: Job) -> int:
    """Return how many GPUs a job trains on, by its resolved config."""
    trainer = manifest.plans.get(job.id, {}).get("trainer", {})
    return 0 if trainer.get("accelerator", "cpu") == "cpu" else job.devices


def imported(package: str, *, extra: str, why: str) -> Any:
    """Import a package of an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(f"{why} needs the package {package}: pip install -e '.[{extra}]'") from error
