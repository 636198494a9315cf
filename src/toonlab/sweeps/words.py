"""Words of a command line as Hydra reads them."""

from __future__ import annotations

from pathlib import Path


def key_of(word: str) -> str:
    """Return what an override sets: `method.lr` of `++method.lr=1`."""
    return word.lstrip("+~").partition("=")[0]


def quoted(path: Path) -> str:
    """Return a path as a value that Hydra's grammar takes for one word, whatever is in it."""
    return "'" + str(path).replace("'", "\\'") + "'"
