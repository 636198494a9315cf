"""Flow-based filters as their definitions read: float64, one pixel after the other, no shared code."""

import math

import numpy as np


def sample(image, x, y):
    height, width = image.shape[:2]
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    return (
        (1 - u) * (1 - v) * image[top, left]
        + u * (1 - v) * image[top, right]
        + (1 - u) * v * image[bottom, left]
        + u * v * image[bottom, right]
    )


def walk(tangents, row, column, steps, follow):
    """Yield (distance, x, y) both ways from a pixel."""
    height, width = tangents.shape[:2]
    for sign in (1, -1):
        direction = sign * tangents[row, column]
        if not follow:
            direction = np.array([-direction[1], direction[0]])
        point = np.array([column, row], float)
        for distance in range(1, steps + 1):
            point = point + direction
            if not direction.any() or not (0 <= point[0] <= width - 1 and 0 <= point[1] <= height - 1):
                break
            yield distance, *point
            if follow:
                nearest = tangents[math.floor(point[1] + 0.5), math.floor(point[0] + 0.5)]
                direction = -nearest if nearest @ direction < 0 else nearest


def normal(distance, sigma):
    return math.exp(-(distance**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)


def support(sigma):
    return next(n for n in range(100) if normal(n, sigma) < 0.001)


def edge_tangent_flow(tangents, magnitude, radius, weight):
    """One iteration, w_s w_m w_d φ t(y) summed over the disc and normalised."""
    height, width = magnitude.shape
    out = np.zeros_like(tangents)
    for y in range(height):
        for x in range(width):
            for j in range(height):
                for i in range(width):
                    if math.hypot(i - x, j - y) >= radius:
                        continue
                    dot = tangents[y, x] @ tangents[j, i]
                    rise = magnitude[j, i] - magnitude[y, x]
                    w_m = (1 + (math.tanh(rise) if weight == "tanh" else rise)) / 2
                    out[y, x] += np.sign(dot) * w_m * abs(dot) * tangents[j, i]
            length = math.hypot(*out[y, x])
            if length:
                out[y, x] /= length
    return out


def line_response(grey, tangents, sigma_c=1.0, sigma_m=3.0, rho=0.99):
    height, width = grey.shape
    across = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            means = []
            for sigma in (sigma_c, 1.6 * sigma_c):
                total, weight = normal(0, sigma) * grey[row, column], normal(0, sigma)
                for distance, x, y in walk(tangents, row, column, support(sigma), follow=False):
                    total += normal(distance, sigma) * sample(grey, x, y)
                    weight += normal(distance, sigma)
                means.append(total / weight)
            across[row, column] = means[0] - rho * means[1]
    response = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            total, weight = normal(0, sigma_m) * across[row, column], normal(0, sigma_m)
            for distance, x, y in walk(tangents, row, column, support(sigma_m), follow=True):
                total += normal(distance, sigma_m) * sample(across, x, y)
                weight += normal(distance, sigma_m)
            response[row, column] = total / weight
    return response


def bilateral(rgb, tangents, sigma, spread, follow):
    out = np.zeros_like(rgb)
    height, width = rgb.shape[:2]
    for row in range(height):
        for column in range(width):
            total, weight = normal(0, sigma) * rgb[row, column], normal(0, sigma)
            for distance, x, y in walk(tangents, row, column, support(sigma), follow):
                seen = sample(rgb, x, y)
                difference = np.linalg.norm(seen - rgb[row, column])
                w = normal(distance, sigma) * math.exp(-(difference**2) / (2 * spread**2))
                total, weight = total + w * seen, weight + w
            out[row, column] = total / weight
    return out
