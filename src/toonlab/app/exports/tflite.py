"""`kind=tflite`: not available; docs/export.md says what was tried."""

from __future__ import annotations

from omegaconf import DictConfig

from toonlab.errors import UsageError

TAKES = frozenset({"style", "packs"})


def export(cfg: DictConfig) -> None:
    """Refuse.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "kind=tflite: not available, its converter (litert-torch) wants another torch and gigabytes beside "
        "ours (docs/export.md); on Android use kind=onnx with ONNX Runtime, precision=fp16 for a small file"
    )
