"""`kind=tflite`: not available; docs/export.md says what was tried."""

from __future__ import annotations

from omegaconf import DictConfig

from toonlab.errors import UsageError

TAKES = frozenset({"style", "packs"})


def export(cfg: DictConfig) -> None:
    """Refuse `cfg.output`.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        f"output={cfg.output}: kind=tflite is not available: its converter (litert-torch) wants another "
        "torch and gigabytes more (docs/export.md); on Android use kind=onnx precision=fp16 with ONNX Runtime"
    )
