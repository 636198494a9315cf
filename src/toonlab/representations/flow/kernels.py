"""Walks along a flow, pixel by pixel: the compiled loops behind every flow-based filter.

All arrays are float32, C-contiguous; tangents are `(H, W, 2)` as (x, y). A walk takes steps of `step`
pixels from the pixel's centre both ways until a weight table ends, the picture ends, or the flow does.
Along a flow the tangent is read anew at the nearest pixel after each step, and turned round where it
opposes the step before; pictures are sampled bilinearly. Each kernel fills rows `first` to `last` of
`out`, so that threads can share a picture.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toonlab.representations.compiled import compiled

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def bilinear(image: Array, x: float, y: float) -> float:
    """Sample `(H, W)` at a point inside it."""
    height, width = image.shape
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = np.float32(x - left), np.float32(y - top)
    above = image[top, left] + u * (image[top, right] - image[top, left])
    below = image[bottom, left] + u * (image[bottom, right] - image[bottom, left])
    value: float = above + v * (below - above)
    return value


@compiled
def across_flow(
    grey: Array,
    tangents: Array,
    centre: Array,
    surround: Array,
    rho: float,
    step: float,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Difference of Gaussians along the gradient; `centre` and `surround` hold the weights from 0 on."""
    height, width = grey.shape
    for row in range(first, last):
        for column in range(width):
            dx, dy = -tangents[row, column, 1] * step, tangents[row, column, 0] * step
            inner = centre[0] * grey[row, column]
            outer = surround[0] * grey[row, column]
            inner_weight, outer_weight = centre[0], surround[0]
            if dx != 0 or dy != 0:
                for side in (-1.0, 1.0):
                    for k in range(1, len(surround)):
                        x, y = column + side * k * dx, row + side * k * dy
                        if x < 0 or y < 0 or x > width - 1 or y > height - 1:
                            break
                        value = bilinear(grey, x, y)
                        outer += surround[k] * value
                        outer_weight += surround[k]
                        if k < len(centre):
                            inner += centre[k] * value
                            inner_weight += centre[k]
            out[row, column] = inner / inner_weight - rho * outer / outer_weight


@compiled
def along_flow(
    image: Array, tangents: Array, weights: Array, step: float, out: Array, first: int, last: int
) -> None:
    """Weighted mean along the streamline through each pixel."""
    height, width = image.shape
    for row in range(first, last):
        for column in range(width):
            total, weight = weights[0] * image[row, column], weights[0]
            for side in (-1.0, 1.0):
                x, y = float(column), float(row)
                dx, dy = side * tangents[row, column, 0], side * tangents[row, column, 1]
                for k in range(1, len(weights)):
                    x, y = x + step * dx, y + step * dy
                    if (dx == 0 and dy == 0) or x < 0 or y < 0 or x > width - 1 or y > height - 1:
                        break
                    total += weights[k] * bilinear(image, x, y)
                    weight += weights[k]
                    tx, ty = tangents[int(y + 0.5), int(x + 0.5), 0], tangents[int(y + 0.5), int(x + 0.5), 1]
                    if tx * dx + ty * dy < 0:
                        tx, ty = -tx, -ty
                    dx, dy = tx, ty
            out[row, column] = total / weight


@compiled
def bilateral(
    image: Array,
    tangents: Array,
    weights: Array,
    likeness: Array,
    per_level: float,
    follow: bool,
    step: float,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Bilateral mean of `(H, W, 3)` along the flow (`follow`) or straight across it.

    `likeness[int(per_level · d²)]` is the weight of a sample at the distance d; zero beyond its end.
    """
    height, width, _ = image.shape
    for row in range(first, last):
        for column in range(width):
            r0, g0, b0 = image[row, column, 0], image[row, column, 1], image[row, column, 2]
            r, g, b, weight = weights[0] * r0, weights[0] * g0, weights[0] * b0, weights[0]
            for side in (-1.0, 1.0):
                x, y = float(column), float(row)
                dx, dy = side * tangents[row, column, 0], side * tangents[row, column, 1]
                if not follow:
                    dx, dy = -dy, dx
                for k in range(1, len(weights)):
                    x, y = x + step * dx, y + step * dy
                    if (dx == 0 and dy == 0) or x < 0 or y < 0 or x > width - 1 or y > height - 1:
                        break
                    left, top = int(x), int(y)
                    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
                    u, v = np.float32(x - left), np.float32(y - top)
                    w00, w01 = (1 - u) * (1 - v), u * (1 - v)
                    w10, w11 = (1 - u) * v, u * v
                    p, q, m, n = (
                        image[top, left],
                        image[top, right],
                        image[bottom, left],
                        image[bottom, right],
                    )
                    red = w00 * p[0] + w01 * q[0] + w10 * m[0] + w11 * n[0]
                    green = w00 * p[1] + w01 * q[1] + w10 * m[1] + w11 * n[1]
                    blue = w00 * p[2] + w01 * q[2] + w10 * m[2] + w11 * n[2]
                    distance = (red - r0) ** 2 + (green - g0) ** 2 + (blue - b0) ** 2
                    level = int(per_level * distance)
                    if level < len(likeness):
                        w = weights[k] * likeness[level]
                        r, g, b, weight = r + w * red, g + w * green, b + w * blue, weight + w
                    if follow:
                        tx, ty = (
                            tangents[int(y + 0.5), int(x + 0.5), 0],
                            tangents[int(y + 0.5), int(x + 0.5), 1],
                        )
                        if tx * dx + ty * dy < 0:
                            tx, ty = -tx, -ty
                        dx, dy = tx, ty
            out[row, column, 0], out[row, column, 1], out[row, column, 2] = r / weight, g / weight, b / weight


@compiled
def tangents_by_definition(tangents: Array, magnitude: Array, radius: int, sharpness: float) -> Array:
    """One iteration of the edge tangent flow, not normalised; sharpness 0 is the linear weight."""
    height, width = magnitude.shape
    out = np.zeros_like(tangents)
    for row in range(height):
        for column in range(width):
            tx, ty = tangents[row, column, 0], tangents[row, column, 1]
            for y in range(max(0, row - radius + 1), min(height, row + radius)):
                for x in range(max(0, column - radius + 1), min(width, column + radius)):
                    if (x - column) ** 2 + (y - row) ** 2 >= radius * radius:
                        continue
                    rise = magnitude[y, x] - magnitude[row, column]
                    weight = 1 + (math.tanh(sharpness * rise) if sharpness > 0 else rise)
                    weight *= tx * tangents[y, x, 0] + ty * tangents[y, x, 1]
                    out[row, column, 0] += weight * tangents[y, x, 0]
                    out[row, column, 1] += weight * tangents[y, x, 1]
    return out
