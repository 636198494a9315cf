"""Which devices this process may hand out, found without torch: it would start CUDA in the parent."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

FAKE = "TOONLAB_FAKE_DEVICES"
"""Environment variable for tests and rehearsals: names of devices that are none, separated by commas."""

DEVICE = "TOONLAB_DEVICE"
"""Environment variable of a job: the devices that were leased for it, separated by commas."""


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the usable devices: UUIDs of GPUs, or of their MIG instances where there are some.

    `CUDA_VISIBLE_DEVICES` is honoured; its numbers become UUIDs (in the order of `nvidia-smi`), so that two
    sweeps agree on what they lease.
    """
    if FAKE in environment:
        return _names(environment[FAKE])
    installed = _installed()
    if "CUDA_VISIBLE_DEVICES" not in environment:
        return [name for gpu in installed for name in gpu]
    found = []
    for name in _names(environment["CUDA_VISIBLE_DEVICES"]):
        if name.startswith("-"):  # CUDA, too, ignores what comes behind an invalid number
            break
        if name.isdigit() and installed:
            if int(name) >= len(installed):
                break
            found += installed[int(name)]
        else:
            found.append(name)
    return found


def environment_for(devices: list[str], inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that show these devices, and no others, to a new process."""
    shown = {DEVICE: ",".join(devices)}
    if FAKE not in inherited:
        shown["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    return shown


def parse(listing: str) -> list[list[str]]:
    """Read `nvidia-smi -L`: for each GPU its UUID, or those of its MIG instances."""
    gpus: list[tuple[str, list[str]]] = []
    for line in listing.splitlines():
        if gpu := re.match(r"GPU \d+:.*\(UUID: (GPU-[\w-]+)\)", line):
            gpus.append((gpu[1], []))
        elif (part := re.match(r"\s+MIG .*\(UUID: (MIG-[\w/-]+)\)", line)) and gpus:
            gpus[-1][1].append(part[1])
    return [parts or [name] for name, parts in gpus]


def _installed() -> list[list[str]]:
    words = ["nvidia-smi", "-L"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse(done.stdout) if done.returncode == 0 else []


def _names(text: str) -> list[str]:
    return [name for each in text.split(",") if (name := each.strip())]
