"""What a run cost: time, speed, memory, size, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

from toonlab.reports.record import RunRecord


class Cost(NamedTuple):
    """None where the run did not say."""

    seconds: float | None
    images_per_second: float | None
    process_mib: (
        float | None
    )  # resident, at its highest; of the process that trained, not of its data workers
    device_mib: float | None  # on the GPU, at its highest
    parameters: int | None
    hardware: str


def cost_of(run: RunRecord) -> Cost:
    """Return a run's cost from `result.json`; of a run that never ended, its speed from `metrics.jsonl`."""
    memory: Mapping[str, Any] = run.result.get("peak_memory_mib") or {}
    speeds = [line["images_per_second"] for line in run.lines if "images_per_second" in line]
    device = run.result.get("device")
    threads = run.result.get("torch_threads")
    return Cost(
        seconds=run.result.get("seconds"),
        images_per_second=run.result.get("images_per_second") or (median(speeds) if speeds else None),
        process_mib=memory.get("process"),
        device_mib=memory.get("device"),
        parameters=run.result.get("generator_parameters"),
        hardware=f"{device}, {threads} threads" if device == "cpu" and threads else str(device or ""),
    )


def duration(seconds: float | None) -> str:
    """Write seconds for a reader: `8.4 s`, `4 min 37 s`, `2 h 05 min`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def mebibytes(amount: float | None) -> str:
    """Write MiB, from 1024 on as GiB."""
    if amount is None:
        return ""
    return f"{amount:.0f} MiB" if amount < 1024 else f"{amount / 1024:.1f} GiB"
