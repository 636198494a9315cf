"""Which domain a generator paints and which it should look like."""

from __future__ import annotations

from toonlab.errors import check_choice

DIRECTIONS = {"to_cartoon": ("photo", "cartoon"), "to_photo": ("cartoon", "photo")}


def domains(direction: str) -> tuple[str, str]:
    """Return the views of a batch that are the source and the target of `to_cartoon` or `to_photo`.

    Raises:
        UsageError: no such direction.
    """
    check_choice("method.direction", direction, DIRECTIONS)
    return DIRECTIONS[direction]


def reverse(direction: str) -> str:
    """Return the other direction."""
    return next(other for other in DIRECTIONS if other != direction)
