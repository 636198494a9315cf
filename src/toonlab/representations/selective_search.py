"""Selective search's merging: the two most similar neighbours become one region, until few are left."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from toonlab.representations.compiled import compiled

Array = np.ndarray[Any, Any]
COLOUR_BINS, TEXTURE_BINS = 25, 10


def merge_regions(picture: Array, labels: Array, regions: int) -> Array:
    """Merge regions of a picture until `regions` are left: `(H, W)` int32, 0 to n-1 in reading order.

    Uijlings et al., "Selective search for object recognition", IJCV 2013, section 3.2, as White-box (Wang &
    Yu 2020, section 3.2) uses it: all four similarities, each in [0, 1], on Lab.

    - colour: the intersection of normalised histograms, 25 bins in each channel of 8-bit Lab. Every region
      has the same bins, or intersections would compare unlike things.
    - texture: likewise of 10-bin histograms of uniform local binary patterns in each channel.
    - size: 1 - (|a| + |b|) / |image|, small regions first.
    - fill: 1 - (|box around both| - |a| - |b|) / |image|, no holes.

    Areas are in pixels. Among equally similar pairs the one with the lowest labels goes first; a merged
    region bears its lower label. Neighbours share a pixel's side. Time grows with the product of regions and
    neighbouring pairs: milliseconds for the hundreds of regions that it is for.

    Args:
        picture: `(H, W, 3)` uint8, RGB.
        labels: `(H, W)` integers from 0, none left out.
        regions: how many to leave, 1 or more; if there are no more than that, none is merged.

    Raises:
        ValueError: another shape or type, a label left out, or fewer than one region to leave.
    """
    _check(picture, labels, regions)
    labels = np.ascontiguousarray(labels, np.int32)
    count = int(labels.max()) + 1
    if count <= regions:
        merged = np.arange(count)
    else:
        lab = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2LAB)
        histograms, boxes = _describe(lab, patterns(lab), labels, count)
        merged = _merge(histograms, boxes, neighbours(labels, count), labels.size, regions)
    renamed: Array = _rename(labels, merged)
    return renamed


def _check(picture: Array, labels: Array, regions: int) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0 or picture.dtype != np.uint8:
        raise ValueError(f"merge_regions needs (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"merge_regions needs labels of {picture.shape[:2]}, got {labels.shape} {labels.dtype}"
        )
    if labels.min() < 0 or labels.max() >= labels.size or not np.bincount(labels.ravel()).all():
        raise ValueError("merge_regions needs labels from 0 to n-1, none left out")
    if regions < 1:
        raise ValueError(f"merge_regions leaves 1 region or more, asked for {regions}")


def patterns(lab: Array) -> Array:
    """Local binary patterns `(H, W, 3)` of every channel: a bit for each neighbour that is no darker.

    Ojala et al. 2002 with 8 neighbours; those of the 3x3 window, not interpolated on the circle, whose
    rounding errors would find texture in flat colour. Beyond the border the edge pixels are repeated.
    """
    height, width, _ = lab.shape
    padded = np.pad(lab, ((1, 1), (1, 1), (0, 0)), mode="edge")
    codes, bits = np.zeros(lab.shape, np.uint8), np.empty(lab.shape, bool)
    for y, x in ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)):  # once around
        np.greater_equal(padded[y : y + height, x : x + width], lab, out=bits)
        codes += codes
        codes |= bits.view(np.uint8)
    return codes


def _uniform() -> Array:
    """Classes of the 256 codes: the number of bits, or 9 for more than two changes on the way round."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)


UNIFORM = _uniform()


@compiled
def _describe(lab: Array, codes: Array, labels: Array, count: int) -> tuple[Array, Array]:
    """Counts `(count, 105)` of colours, then patterns; boxes `(count, 5)`: top, left, bottom, right, pixels.

    Counts, not shares: those of a merged region are the sum, which is the size-weighted mean of the shares
    without its rounding.
    """
    height, width, _ = lab.shape
    histograms = np.zeros((count, 3 * (COLOUR_BINS + TEXTURE_BINS)), np.int64)
    boxes = np.zeros((count, 5), np.int64)
    boxes[:, 0], boxes[:, 1] = height, width
    for y in range(height):
        for x in range(width):
            region = labels[y, x]
            for c in range(3):
                # 25 bins over 0..255; a plain int, because 8 bits would overflow without numba.
                histograms[region, c * COLOUR_BINS + int(lab[y, x, c]) * COLOUR_BINS // 256] += 1
                histograms[region, 3 * COLOUR_BINS + c * TEXTURE_BINS + UNIFORM[codes[y, x, c]]] += 1
            box = boxes[region]
            box[0], box[1] = min(box[0], y), min(box[1], x)
            box[2], box[3] = max(box[2], y + 1), max(box[3], x + 1)
            box[4] += 1
    return histograms, boxes


def neighbours(labels: Array, count: int) -> Array:
    """Every pair of regions that share a pixel's side once, `(n, 2)` int64, the lower label first, sorted."""
    return np.stack(np.divmod(np.unique(_borders(labels, count)), count), axis=1)


@compiled
def _borders(labels: Array, count: int) -> Array:
    """Pairs as numbers, `lower · count + higher`; along a border many times, but not twice running."""
    height, width = labels.shape
    keys, found = np.empty(2 * labels.size, np.int64), 0
    for down in range(2):
        for y in range(height - down):
            last = -1
            for x in range(width - 1 + down):
                a, b = labels[y, x], labels[y + down, x + 1 - down]
                if a != b:
                    key = int(min(a, b)) * count + max(a, b)
                    if key != last:
                        keys[found] = key
                        found += 1
                    last = key
    return keys[:found].copy()


@compiled
def _similarity(histograms: Array, boxes: Array, a: int, b: int, area: int) -> float:
    """The sum of the four similarities. Whole numbers as far as possible: equal pairs compare equal."""
    p, q = boxes[a], boxes[b]
    m, n = p[4], q[4]
    shared = np.minimum(histograms[a] * n, histograms[b] * m)  # both over m·n, and three channels each
    colour, texture = shared[: 3 * COLOUR_BINS].sum(), shared[3 * COLOUR_BINS :].sum()
    box = (max(p[2], q[2]) - min(p[0], q[0])) * (max(p[3], q[3]) - min(p[1], q[1]))
    # size + fill = 2 - |box around both| / |image|: the sizes cancel.
    total: float = (colour + texture) / (3 * m * n) + (2 * area - box) / area
    return total


@compiled
def _merge(histograms: Array, boxes: Array, pairs: Array, area: int, regions: int) -> Array:
    """The label that every region ends up with, `(count,)`."""
    count, alive = len(boxes), len(pairs)
    merged, seen = np.arange(count), np.full(count, -1)
    similar = np.empty(alive)
    for i in range(alive):
        similar[i] = _similarity(histograms, boxes, pairs[i, 0], pairs[i, 1], area)
    for step in range(count - regions):
        best = 0
        for i in range(1, alive):
            if similar[i] > similar[best] or (
                similar[i] == similar[best]
                and (
                    pairs[i, 0] < pairs[best, 0]
                    or (pairs[i, 0] == pairs[best, 0] and pairs[i, 1] < pairs[best, 1])
                )
            ):
                best = i
        a, b = pairs[best, 0], pairs[best, 1]
        merged[b] = a
        histograms[a] += histograms[b]
        boxes[a, :2] = np.minimum(boxes[a, :2], boxes[b, :2])
        boxes[a, 2:4] = np.maximum(boxes[a, 2:4], boxes[b, 2:4])
        boxes[a, 4] += boxes[b, 4]
        kept = 0
        for i in range(alive):
            p, q = pairs[i, 0], pairs[i, 1]
            if p in (a, b) or q in (a, b):
                other = q if p in (a, b) else p
                if other in (a, b) or seen[other] == step:  # the pair itself, and a neighbour of both
                    continue
                seen[other] = step
                p, q = min(a, other), max(a, other)
                similar[kept] = _similarity(histograms, boxes, p, q, area)
            else:
                similar[kept] = similar[i]
            pairs[kept, 0], pairs[kept, 1] = p, q
            kept += 1
        alive = kept
    for region in range(count):  # a region is merged into a lower one, which is settled already
        merged[region] = merged[merged[region]]
    return merged


@compiled
def _rename(labels: Array, merged: Array) -> Array:
    """Look labels up and number them in reading order."""
    height, width = labels.shape
    names, found = np.full(len(merged), -1, np.int32), 0
    renamed = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            region = merged[labels[y, x]]
            if names[region] < 0:
                names[region] = found
                found += 1
            renamed[y, x] = names[region]
    return renamed
