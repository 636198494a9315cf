"""The error whose message is all its reader needs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class UsageError(ValueError):
    """Something the user can mend; the message is one line naming the file or key and the remedy.

    Entry points print the message alone, without a traceback, and exit with status 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def check_choice(key: str, value: str, known: Iterable[str]) -> None:
    """Refuse a word that is not among the known ones.

    Raises:
        UsageError: it is not; the message names the nearest.
    """
    known = list(known)
    if value not in known:
        raise UsageError(f"{key}={value}: use one of {', '.join(known)}{did_you_mean(str(value), known)}")


def is_number(value: object) -> bool:
    """Whether it is a finite number: no word, NaN or infinity, as YAML may hold them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
