"""Devices and jobs that one process has at a time, on this host: file locks, which end with their holder.

A lock is handed to the job's process as an open file, so it lasts as long as that process lives, whatever
becomes of the sweep that started it; a power cut or `kill -9` leaves nothing behind that says "taken".
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LEASES = Path(tempfile.gettempdir()) / "toonlab-leases"
"""Shared by all users of a host: a GPU serves one job, whoever's it is."""


def lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file and return its descriptor, or None if somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)  # without O_CREAT: Linux refuses that for others' files in /tmp
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        if os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, 0o666)  # past the umask
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class Lease(NamedTuple):
    """Some devices, held."""

    devices: list[str]
    descriptors: list[int]

    def release(self) -> None:
        """Let go of this process' hold; a job that was handed the descriptors keeps its own."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def lease(devices: Iterable[str], *, count: int, slots: int, folder: Path = LEASES) -> Lease | None:
    """Take `count` of the devices, or none and return None.

    Args:
        devices: names, in order of preference.
        count: how many a job needs.
        slots: jobs that may share a device. A device leased for 1 is nobody else's, with whatever slots
            others ask for it.
        folder: of the locks.
    """
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)
    taken = Lease([], [])
    for device in devices:
        if len(taken.devices) == count:
            break
        name = re.sub(r"[^\w.-]", "_", device)
        descriptors = _take(folder, name, slots)
        if descriptors:
            taken.devices.append(device)
            taken.descriptors.extend(descriptors)
    if len(taken.devices) == count:
        return taken
    taken.release()
    return None


def _take(folder: Path, name: str, slots: int) -> list[int] | None:
    whole = lock(folder / name, shared=slots > 1)
    if whole is None or slots == 1:
        return None if whole is None else [whole]
    for slot in range(slots):
        part = lock(folder / f"{name}.{slot}")
        if part is not None:
            return [whole, part]
    os.close(whole)
    return None
