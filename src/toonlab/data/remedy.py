"""From what is wrong at fixed places to the crop or the masks that take it away, in both domains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from toonlab.data.ignore import Box, Ignore

MOST = 0.2
"""Share of the picture that a crop may cost; what would cost more is masked."""

_PAD = 0.012  # shares of the sides, around what is to go: resampling and JPEG smear it
_MANY = 6  # marks; more are masked, without trying each combination


def remedy(marks: Sequence[Box], bars: Box | None = None) -> Ignore | None:
    """Return what takes all this away: bars by a crop, marks by one where that is cheap, else by masks.

    A crop leaves true pixels only, so it is taken if at most a fifth of the picture goes.

    Args:
        marks: boxes that hold marks.
        bars: what is left of a picture without its bars.
    """
    if not marks and bars is None:
        return None
    inner = bars or Box(0, 0, 1, 1)
    boxes = [_padded(box) for box in marks]
    best, masks = inner, [box for box in boxes if _meet(box, inner)]
    ways = itertools.product(range(5), repeat=len(boxes)) if len(boxes) <= _MANY else ()
    for way in ways:
        kept = inner
        for box, side in zip(boxes, way, strict=True):
            kept = _without(kept, box, side)
        if kept.left >= kept.right or kept.top >= kept.bottom or kept.area < (1 - MOST) * inner.area:
            continue
        left = [box for box in boxes if _meet(box, kept)]
        if (len(left), -kept.area) < (len(masks), -best.area):
            best, masks = kept, left
    whole = best == Box(0, 0, 1, 1)
    return Ignore(None if whole else _rounded(best), tuple(_rounded(box) for box in masks))


def _padded(box: Box) -> Box:
    return Box(
        max(0.0, box.left - _PAD),
        max(0.0, box.top - _PAD),
        min(1.0, box.right + _PAD),
        min(1.0, box.bottom + _PAD),
    )


def _without(kept: Box, box: Box, side: int) -> Box:
    """Cut a box off at one side of what is kept; side 4 leaves it."""
    cuts = (
        kept._replace(left=max(kept.left, box.right)),
        kept._replace(top=max(kept.top, box.bottom)),
        kept._replace(right=min(kept.right, box.left)),
        kept._replace(bottom=min(kept.bottom, box.top)),
        kept,
    )
    return cuts[side]


def _meet(one: Box, two: Box) -> bool:
    return min(one.right, two.right) > max(one.left, two.left) and min(one.bottom, two.bottom) > max(
        one.top, two.top
    )


def _rounded(box: Box) -> Box:
    return Box(*(round(value, 4) for value in box))
