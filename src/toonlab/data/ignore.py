"""`data.ignore`: what no network shall see, cut off or filled in, in both domains alike."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in shares of a picture's width and height, from its top left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Share of the picture."""
        return (self.right - self.left) * (self.bottom - self.top)
