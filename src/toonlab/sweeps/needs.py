"""What jobs need: GPUs, this very toonlab, and packages that are not everybody's."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError
from toonlab.sweeps.manifest import Job, Manifest


def gpus_of(manifest: Manifest, job: Job) -> int:
    """Return how many GPUs a job trains on, by its resolved config."""
    trainer = manifest.plans.get(job.id, {}).get("trainer", {})
    return 0 if trainer.get("accelerator", "cpu") == "cpu" else job.devices


def python_path() -> str:
    """Return a PYTHONPATH with which a node reads this toonlab, not another that is installed there."""
    ours = str(Path(__file__).resolve().parents[2])
    rest = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([ours, *(str(Path(each).absolute()) for each in rest if each and each != ours)])


def imported(package: str, *, extra: str, why: str) -> Any:
    """Import a package of an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(f"{why} needs the package {package}: pip install -e '.[{extra}]'") from error
