"""The folder of uploads and results: of this server alone, bounded while it runs, gone when it ends."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

PREFIX = "toonlab-serve-"
LOCK = ".lock"
GRACE = 60.0
"""Seconds for which a file is never deleted: it may be on its way to its job, or to its visitor."""


class Room:
    """A folder with a budget.

    Args:
        path: the folder.
        budget: bytes that uploads and results may take at once.
        seconds: after which a file is deleted, counted from its last change.
    """

    def __init__(self, path: Path, *, budget: int, seconds: float) -> None:
        self.path = path.resolve()
        self.budget, self.seconds = budget, seconds
        self._reserved = 0
        self._mutex = threading.Lock()

    def reserve(self, size: int) -> bool:
        """Promise `size` bytes to an upload, deleting old files if need be; False if there is no room."""
        with self._mutex:
            if self._held() + self._reserved + size > self.budget:
                self._sweep(self.budget - self._reserved - size)
                if self._held() + self._reserved + size > self.budget:
                    return False
            self._reserved += size
            return True

    def release(self, size: int) -> None:
        """Take a promise back: the upload is a file now, or came to nothing."""
        with self._mutex:
            self._reserved -= size

    def sweep(self) -> None:
        """Delete what is too old, and the oldest of what is too much."""
        with self._mutex:
            self._sweep(self.budget - self._reserved)

    def folder(self) -> Path:
        """Return a new folder for one job's results; nobody can guess its name."""
        made = Path(tempfile.mkdtemp(prefix="result-", dir=self.path))
        # Else the sweep could take the empty folder before its first file is there.
        os.utime(made)
        return made

    def holds(self, path: Path) -> bool:
        """Say whether a path is a plain file in here, links followed."""
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return False
        return real.is_file() and real.is_relative_to(self.path) and real.name != LOCK

    def _held(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (time, bytes, path) of each file, the oldest first."""
        found = []
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    stat = path.lstat()
                    found.append((stat.st_mtime, stat.st_size, path))
        return sorted(found)

    def _sweep(self, most: int) -> None:
        now = time.time()
        files = [each for each in self._files() if each[2].name != LOCK]
        held = sum(size for _, size, _ in files)
        for changed, size, path in files:
            age = now - changed
            if age > self.seconds or (held > most and age > GRACE):
                with contextlib.suppress(OSError):
                    path.unlink()
                    held -= size
        for folder, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):  # of those that are not empty
                if Path(folder) != self.path and now - Path(folder).stat().st_mtime > GRACE:
                    Path(folder).rmdir()


@contextlib.contextmanager
def room(*, budget: int, seconds: float) -> Iterator[Room]:
    """Open a folder of one's own, swept twice a minute; it is gone afterwards.

    What servers left that were killed is deleted as well.
    """
    parent = Path(tempfile.gettempdir())
    _delete_left(parent)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    with (path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opened = Room(path, budget=budget, seconds=seconds)
        ended = threading.Event()

        def keep_swept() -> None:
            while not ended.wait(30):
                opened.sweep()

        sweeper = threading.Thread(target=keep_swept, name="sweeper", daemon=True)
        sweeper.start()
        try:
            yield opened
        finally:
            ended.set()
            shutil.rmtree(path, ignore_errors=True)


def _delete_left(parent: Path) -> None:
    """Delete folders of servers that are no more: nobody holds their locks."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                log.info("deleting what an earlier server left: %s", path)
                shutil.rmtree(path, ignore_errors=True)
