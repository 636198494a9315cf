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
    if not AVAILABLE:
        labels: Array = skimage_felzenszwalb(picture, scale=scale, sigma=sigma, min_size=min_size)
        return labels.astype(np.int32)
    values = picture * (1 / 255) if picture.dtype == np.uint8 else picture.astype(np.float64)
    costs, edges = _costs(_smooth(values, _gaussian(sigma)))
    # numpy's default sort is not stable: only itself puts equal costs in scikit-image's order.
    order = np.argsort(costs)
    segmented: Array = _join(costs, edges, order, picture.shape[0], picture.shape[1], scale / 255, min_size)
    return segmented


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
def _costs(values: Array) -> tuple[Array, Array]:
    """Colour distances between neighbours, and 4 times the first pixel's index plus the direction.

    Right, down, down-right and up-right, each block in reading order.
    """
    height, width, _ = values.shape
    total = height * (width - 1) + (height - 1) * width + 2 * (height - 1) * (width - 1)
    costs, edges = np.empty(total), np.empty(total, np.int32)
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
    return costs, edges


@compiled
def _root(parents: Array, node: int) -> int:
    """The region's representative; every pixel passed on the way is hung on it."""
    root = parents[node]
    while parents[root] != root:
        root = parents[root]
    while parents[node] != root:
        parents[node], node = root, parents[node]
    return root


@compiled
def _join(
    costs: Array, edges: Array, order: Array, height: int, width: int, scale: float, min_size: int
) -> Array:
    """Join along edges of rising cost, then small regions, and number what remains in reading order."""
    pixels = height * width
    parents, sizes = np.arange(pixels).astype(np.int32), np.ones(pixels, np.int32)
    # How dear an edge may be to join a region; scikit-image rounds it to 32 bits and so do we.
    limits = np.full(pixels, scale).astype(np.float32)
    steps = np.array([1, width, width + 1, 1 - width])
    kept, count = np.empty(len(order), np.int32), 0
    for e in order:
        code = edges[e]
        first = code >> 2
        a, b = _root(parents, first), _root(parents, first + steps[code & 3])
        if a == b:
            continue
        if costs[e] < limits[a] and costs[e] < limits[b]:
            if sizes[a] < sizes[b]:
                a, b = b, a
            parents[b] = a
            sizes[a] += sizes[b]
            limits[a] = np.float32(costs[e] + scale / sizes[a])
        else:
            kept[count] = code  # edges inside a region stay inside: the second pass leaves them out
            count += 1
    for code in kept[:count]:
        first = code >> 2
        a, b = _root(parents, first), _root(parents, first + steps[code & 3])
        if a != b and (sizes[a] < min_size or sizes[b] < min_size):
            if sizes[a] < sizes[b]:
                a, b = b, a
            parents[b] = a
            sizes[a] += sizes[b]
    names, found = np.full(pixels, -1, np.int32), 0
    labels = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            root = _root(parents, y * width + x)
            if names[root] < 0:
                names[root] = found
                found += 1
            labels[y, x] = names[root]
    return labels
