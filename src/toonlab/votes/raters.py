"""Names that raters give themselves."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 40  # characters


def named(given: object) -> str:
    """Return a rater's name, tidied: composed characters, single spaces.

    Raises:
        ValueError: it is no name; the message says in plain words what one is.
    """
    name = " ".join(unicodedata.normalize("NFC", given).split()) if isinstance(given, str) else ""
    if not name:
        raise ValueError("Please give a name.")
    if len(name) > LONGEST:
        raise ValueError(f"Please give a name of at most {LONGEST} letters.")
    if not re.fullmatch(r"[\w][\w .'\u2019-]*", name):
        raise ValueError("Please use letters, digits, spaces, and . ' - in the name.")
    return name


def key_of(name: str) -> str:
    """Return what is equal for the same rater: Anna is anna."""
    return unicodedata.normalize("NFC", name.casefold())
