"""Files and folders that are replaced whole or not at all: a kill finds the old one or the new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path`; until it is all there, what was there stays.

    Raises:
        OSError: it cannot be written, of a full disk for example.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` to write into, which then takes its place, or is gone if that fails.

    What was at `path` goes, whatever it is: look first.

    Raises:
        OSError: it cannot be written, of a full disk for example.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
