"""Keeps 16-bit arithmetic away from processors that have none."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from toonlab.errors import UsageError, check_choice


def check_precision(cfg: DictConfig) -> None:
    """Refuse bf16 and fp16 on a CPU that torch would emulate them on.

    Measured without native support: a 3x3 convolution of 64 channels takes 280 times as long as in fp32, a
    whole CartoonGAN iteration 19 times.

    Raises:
        UsageError: that is what `trainer.precision` asks for, and `slow_precision` does not insist.
    """
    precision = str(cfg.trainer.get("precision", "32-true"))
    accelerator = cfg.trainer.get("accelerator", "auto")
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if not on_cpu or "16" not in precision or cfg.slow_precision or is_native(precision):
        return
    raise UsageError(
        f"trainer.precision={precision}: this CPU has no such arithmetic and is up to 280 times slower; "
        "use trainer.precision=32-true, or insist with slow_precision=true"
    )


def check_painting(precision: str, device: torch.device) -> None:
    """Refuse to paint in bf16 or fp16 on a CPU that torch would emulate them on.

    Raises:
        UsageError: that is what `precision` asks for.
    """
    check_choice("precision", precision, ["fp32", "bf16", "fp16"])
    if device.type == "cpu" and precision != "fp32" and not is_native(precision):
        raise UsageError(
            f"precision={precision}: this CPU has no such arithmetic and is up to 280 times slower; "
            "use precision=fp32, or device=cuda"
        )


def is_native(precision: str) -> bool:
    """Whether this CPU computes convolutions in the 16-bit format that `precision` names."""
    if precision.startswith("bf16"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
