"""One colour for each region of a label map: its mean, its median, or either as its spread asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from toonlab.representations.compiled import compiled

Array = np.ndarray[Any, Any]
KINDS = ("mean", "median", "adaptive")


def colour_regions(
    picture: Array,
    labels: Array,
    kind: str = "mean",
    *,
    low: float = 20.0,
    high: float = 40.0,
    power: float = 1.0,
) -> Array:
    """Paint every region with one colour: `(H, W, 3)` float32 in [0, 255], not rounded.

    `adaptive` is White-box's (Wang & Yu 2020, section 3.2): the mean of a region with a standard deviation
    below `low`, the median above `high`, and the mean of both from `low` to `high`, the bounds included:
    the authors' code leaves exactly 20 and exactly 40 undefined. A region's standard deviation is the mean
    of its three channels': pooled over them, as in the authors' code, a flat but saturated red would count
    as varied. The median of an even count is the mean of the middle two.

    Args:
        picture: `(H, W, 3)` uint8.
        labels: `(H, W)` integers from 0; numbers may be left out, but each costs memory.
        kind: `mean`, `median` or `adaptive`.
        low: standard deviation on the 0..255 scale, likewise `high`: the paper's gamma 1 and 2.
        high: see `low`.
        power: exponent of the colours in [0, 1]: the paper's mu. Above 1 it darkens; the authors use 1.2.

    Raises:
        ValueError: another shape or type, an unknown kind, low > high, power <= 0, a negative label.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0 or picture.dtype != np.uint8:
        raise ValueError(f"colour_regions needs (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"colour_regions needs labels >= 0 of {picture.shape[:2]}, got {labels.shape} {labels.dtype}"
        )
    check_colouring(kind, low, high, power)
    # From here on numbers, not words: the share of the median is 1 above `high`.
    bounds = {"mean": (np.inf, np.inf), "median": (-1.0, -1.0), "adaptive": (float(low), float(high))}[kind]
    flat = np.ascontiguousarray(labels, np.int32).ravel()
    colours = _colours(np.ascontiguousarray(picture).reshape(-1, 3), flat, int(flat.max()) + 1, *bounds)
    if power != 1:
        colours = 255 * (colours / 255) ** power
    return colours.astype(np.float32).take(flat, axis=0).reshape(picture.shape)


def check_colouring(kind: str, low: float, high: float, power: float) -> None:
    """Refuse settings that `colour_regions` cannot use; raises ValueError."""
    if kind not in KINDS:
        raise ValueError(f"colouring is one of {', '.join(KINDS)}, got {kind!r}")
    if not (low <= high and power > 0):
        raise ValueError(f"colouring needs low <= high and power > 0, got {low}, {high} and {power}")


@compiled
def _colours(pixels: Array, labels: Array, regions: int, low: float, high: float) -> Array:
    """Colours `(regions, 3)`; each region's pixels are counted into 256 bins, whence all three statistics."""
    starts = np.zeros(regions + 1, np.int64)
    for label in labels:
        starts[label + 1] += 1
    for region in range(regions):
        starts[region + 1] += starts[region]
    ends = starts[:regions].copy()
    members = np.empty(len(labels), np.int32)
    for i in range(len(labels)):
        members[ends[labels[i]]] = i
        ends[labels[i]] += 1
    colours, counts = np.zeros((regions, 3)), np.empty((3, 256), np.int64)
    for region in range(regions):
        size = starts[region + 1] - starts[region]
        if size == 0:
            continue
        counts[:] = 0
        for i in members[starts[region] : starts[region + 1]]:
            for c in range(3):
                counts[c, pixels[i, c]] += 1
        spread = 0.0
        for c in range(3):
            total, squares = 0, 0
            for value in range(256):
                total += counts[c, value] * value
                squares += counts[c, value] * value * value
            colours[region, c] = total / size
            # Whole numbers up to the root, so that exactly 20 comes out as 20; floats, which never overflow.
            spread += np.sqrt(max(float(size) * squares - float(total) * total, 0.0)) / size
        # As thirds, or three equal deviations of 20 might not make 20.
        if spread < 3 * low:
            continue
        share = 1.0 if spread > 3 * high else 0.5
        for c in range(3):
            median = (_ranked(counts[c], (size - 1) // 2) + _ranked(counts[c], size // 2)) / 2
            colours[region, c] = (1 - share) * colours[region, c] + share * median
    return colours


@compiled
def _ranked(counts: Array, rank: int) -> int:
    """The value of the pixel at this place, from 0, among the sorted ones."""
    value, seen = 0, counts[0]
    while seen <= rank:
        value += 1
        seen += counts[value]
    return value
