"""Which files are films, which can be written, and where the parts of one that is being painted lie."""

from __future__ import annotations

from pathlib import Path

from toonlab.images import BadImageError

EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv"}
)
"""Of files that are taken for films."""

WRITTEN = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's muxers of containers that keep time stamps as they are; a film in another becomes .mp4."""


class BadFilmError(BadImageError):
    """A film that cannot be decoded, or not to its end; the message says why in a few words."""


def is_film(path: Path) -> bool:
    """Return whether the name is a film's."""
    return path.suffix.lower() in EXTENSIONS


def parts_of(target: Path) -> Path:
    """Return the folder that holds a film's segments while it is painted; it goes once the film is there."""
    return target.with_name(f"{target.name}.part")
