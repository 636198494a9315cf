"""Felzenszwalb and Huttenlocher's graph-based segmentation, with scikit-image's labels to the pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage.segmentation import felzenszwalb as skimage_felzenszwalb

from toonlab.representations.compiled import AVAILABLE, compiled

Array = np.ndarray[Any, Any]


def felzenszwalb(picture: Array, scale: float = 5.0, sigma: float = 0.8, min_size: int = 100) -> Array:
    """Segment a picture into regions of similar colour: `(H, W)` int32, 0 to n-1 in reading order.

    "Efficient graph-based image segmentation", IJCV 2004. Equal to scikit-image's labels: every sum is
    taken in its order, so that the costs have the same bits, and they are sorted by the same function.
    Without numba, scikit-image's own: the same labels, several times as slow.

    Args:
        picture: `(H, W, 3)`, uint8 or float in [0, 1].
        scale: larger means larger regions; in scikit-image's unit for pictures in [0, 1]. White-box's 10
            is for pictures in [-1, 1], where every difference is twice as large: 5 here.
        sigma: pixels; Gaussian smoothing beforehand.
        min_size: pixels; smaller regions are joined to the neighbour nearest in colour.

    Raises:
        ValueError: another shape or type, no pixels, values outside [0, 1] or not finite, negative numbers.
    """
    _check(picture, scale, sigma, min_size)
    labels: Array
    if not AVAILABLE:
        labels = skimage_felzenszwalb(picture, scale=scale, sigma=sigma, min_size=min_size)
        return labels.astype(np.int32)
    values = picture * (1 / 255) if picture.dtype == np.uint8 else picture.astype(np.float64)
    height, width, _ = picture.shape
    count = height * (width - 1) + (height - 1) * width + 2 * (height - 1) * (width - 1)
    # One block for four arrays: glibc keeps twice the size of the largest block that was freed. Four small
    # ones go back to the system, and their pages have to come again for every picture: 5 of 17 ms.
    block = np.empty((3, count))
    (costs, ordered), (edges, queue) = block[:2], block[2].view(np.int32).reshape(2, count)
    _measure(_smooth(values, _gaussian(sigma)), costs, edges)
    # numpy's default sort is not stable: only itself puts equal costs in scikit-image's order.
    order = np.argsort(costs)
    costs.take(order, out=ordered, mode="clip")  # any other mode goes through a buffer
    edges.take(order, out=queue, mode="clip")
    labels = _join(ordered, queue, height, width, scale / 255, min_size)
    return labels


def _check(picture: Array, scale: float, sigma: float, min_size: int) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"felzenszwalb needs a picture of (H, W, 3), got {picture.shape}")
    if not (scale >= 0 and sigma >= 0 and min_size >= 0):
        raise ValueError(
            f"felzenszwalb needs scale, sigma, min_size >= 0, got {scale}, {sigma} and {min_size}"
        )
    if picture.dtype != np.uint8:
        if picture.dtype.kind != "f":
            raise ValueError(f"felzenszwalb needs uint8 or float in [0, 1], got {picture.dtype}")
        if not (picture.min() >= 0 and picture.max() <= 1):  # false for NaN too
            raise ValueError("felzenszwalb needs floats in [0, 1]; found NaN or values outside")


def _gaussian(sigma: float) -> Array:
    """Weights of scipy's `gaussian_filter`, from the farthest tap to the middle one."""
    radius = int(4 * sigma + 0.5) if sigma > 1e-15 else 0
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * offsets**2) if radius else np.ones(1)
    half: Array = (weights / weights.sum())[: radius + 1].copy()
    return half


@compiled
def _smooth(values: Array, weights: Array) -> Array:
    """Filter along the rows' axis, then the columns'; the middle tap first, then pairs from the outside."""
    height, width, _ = values.shape
    radius, length = len(weights) - 1, 3 * width
    if radius == 0:
        return values
    rows, out = values.reshape(height, length), np.empty((height, length))
    padded = np.empty(length + 6 * radius)
    row = padded[3 * radius : 3 * radius + length]
    for y in range(height):
        middle = rows[y]
        for i in range(length):
            row[i] = middle[i] * weights[radius]
        for j in range(radius):
            above, below = rows[_mirrored(y - radius + j, height)], rows[_mirrored(y + radius - j, height)]
            for i in range(length):
                row[i] += (above[i] + below[i]) * weights[j]
        for x in range(radius):
            left, right = 3 * (radius - 1 - x), 3 * (radius + width + x)
            for c in range(3):
                padded[left + c] = row[3 * _mirrored(-1 - x, width) + c]
                padded[right + c] = row[3 * _mirrored(width + x, width) + c]
        target = out[y]
        for i in range(length):
            target[i] = row[i] * weights[radius]
        for j in range(radius):
            before, after = padded[3 * j :], padded[3 * (2 * radius - j) :]
            for i in range(length):
                target[i] += (before[i] + after[i]) * weights[j]
    return out.reshape(height, width, 3)


@compiled
def _mirrored(i: int, n: int) -> int:
    """The index that `i` falls on when the border mirrors, its own pixel included: d c b a | a b c d."""
    i %= 2 * n
    return min(i, 2 * n - 1 - i)


@compiled
def _measure(values: Array, costs: Array, edges: Array) -> None:
    """Fill in the edges between neighbours: the distance in colour; 4 · index of a pixel + direction.

    Right, down, down-right and up-right, each direction in reading order.
    """
    height, width, _ = values.shape
    e = 0
    for direction in range(4):
        down, right = direction != 0, direction != 1
        low = 1 if direction == 3 else 0  # up-right starts in the second row
        for row in range(height - down):
            y = row + low
            other = y if direction == 0 else y - 1 if direction == 3 else y + 1
            for x in range(width - right):
                red = values[y, x, 0] - values[other, x + right, 0]
                green = values[y, x, 1] - values[other, x + right, 1]
                blue = values[y, x, 2] - values[other, x + right, 2]
                costs[e] = np.sqrt(red * red + green * green + blue * blue)
                edges[e] = 4 * (y * width + x) + direction
                e += 1


@compiled
def _join(costs: Array, edges: Array, height: int, width: int, scale: float, min_size: int) -> Array:
    """Join along edges of rising cost, then small regions, and number what remains in reading order.

    Every pixel bears its region's number, and a joined region's pixels are renumbered, the smaller one's:
    looking up is one read, where a tree's root takes loops that the processor cannot foresee. `edges` is
    overwritten.
    """
    pixels = height * width
    regions, sizes = np.arange(pixels).astype(np.int32), np.ones(pixels, np.int32)
    rings = regions.copy()  # each region's pixels: from one to the next, and from the last to the first
    # How dear an edge may be to join a region; scikit-image rounds it to 32 bits and so do we.
    limits = np.full(pixels, scale).astype(np.float32)
    steps = np.array([1, width, width + 1, 1 - width])
    kept = 0
    for e in range(len(edges)):
        first = edges[e] >> 2
        a, b = regions[first], regions[first + steps[edges[e] & 3]]
        if a == b:
            continue
        if costs[e] < min(limits[a], limits[b]):
            joined = _absorb(a, b, regions, sizes, rings)
            limits[joined] = costs[e] + scale / sizes[joined]
        else:
            edges[kept] = edges[e]  # edges inside a region stay inside: the second pass leaves them out
            kept += 1
    for edge in edges[:kept]:
        first = edge >> 2
        a, b = regions[first], regions[first + steps[edge & 3]]
        if a != b and min(sizes[a], sizes[b]) < min_size:
            _absorb(a, b, regions, sizes, rings)
    names, found = np.full(pixels, -1, np.int32), 0
    for i in range(pixels):
        if names[regions[i]] < 0:
            names[regions[i]] = found
            found += 1
    return names[regions].reshape(height, width)


@compiled
def _absorb(a: int, b: int, regions: Array, sizes: Array, rings: Array) -> int:
    """Give the smaller region's pixels to the larger; return its number."""
    if sizes[a] < sizes[b]:
        a, b = b, a
    pixel = b
    while regions[pixel] != a:
        regions[pixel] = a
        pixel = rings[pixel]
    rings[a], rings[b] = rings[b], rings[a]  # two rings cut open and closed as one
    sizes[a] += sizes[b]
    return a
