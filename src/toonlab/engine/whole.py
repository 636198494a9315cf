"""Small files of a run that are replaced whole or not at all: a kill finds the old one or the new one."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path`; until it is all there, what was there stays.

    Raises:
        OSError: it cannot be written, of a full disk for example.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
