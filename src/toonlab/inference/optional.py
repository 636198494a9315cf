"""Packages of an extra: imported when they are needed, and asked for in one line when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from toonlab.errors import UsageError


def optional(name: str, *, extra: str, wanted_by: str) -> Any:
    """Import a module that only some installations have.

    Args:
        name: of the module, `onnxruntime.quantization`.
        extra: the extra of pyproject.toml that installs it.
        wanted_by: the setting that needs it, for the message: `kind=onnx`.

    Raises:
        UsageError: it is not installed; the line says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = (error.name or name).partition(".")[0]
        raise UsageError(
            f"{wanted_by}: needs {package}, which is not installed; pip install -e '.[{extra}]'"
        ) from error
