"""Command lines as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

SMALL = (
    "data=synthetic",
    "method.generator.width=4",
    "method.d_surface.width=4",
    "method.d_texture.width=4",
    "structure.segments=16",
    "log_every=1",
    "eval_every=100",
    "save_every=2",
)
"""White-box in fractions of a second an iteration."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


def command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROJECT / "src" / f"{script}.py"), *arguments]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return os.environ | one_thread | {"TOONLAB_OUTPUTS": str(tmp_path / "outputs")} | more


def only_run(tmp_path: Path, method: str = "whitebox") -> Path:
    (run,) = (tmp_path / "outputs" / method).iterdir()
    return run
