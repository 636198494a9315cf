"""Words of a command line as Hydra reads them."""

from __future__ import annotations

import re
from pathlib import Path

HIDDEN = "***"
"""Stands where a password stood."""


def key_of(word: str) -> str:
    """Return what an override sets: `method.lr` of `++method.lr=1`."""
    return word.lstrip("+~").partition("=")[0]


def quoted(path: Path) -> str:
    """Return a path as a value that Hydra's grammar takes for one word, whatever is in it."""
    return "'" + str(path).replace("'", "\\'") + "'"


def masked(text: str) -> str:
    """Return words with a URL without its password: what is written down may be read by others."""
    text = re.sub(r"(://[^:/@]*):[^/]*@", rf"\1:{HIDDEN}@", text)
    return re.sub(r"(password=)[^&'\"]*", rf"\1{HIDDEN}", text)
