"""How much memory it came to."""

from __future__ import annotations

import sys

import torch


def peak_mib() -> dict[str, float | None]:
    """Return the most memory this process has held so far, in MiB: resident, and on the GPU.

    None where it cannot be known. Workers of the data loader are processes of their own and not counted.
    """
    return {
        "process": _resident_mib(),
        "device": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
    }


def _resident_mib() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes there, KiB here
