from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

from toonlab import images as im
from toonlab.representations.edges import EdgeSmooth


def disc() -> torch.Tensor:
    """A bright disc on faint noise, off the middle; on the 8-bit grid, as crops are."""
    y, x = np.mgrid[:40, :48]
    array = np.random.default_rng(0).integers(40, 52, (40, 48, 3), np.uint8)
    array[(x - 30) ** 2 + (y - 12) ** 2 < 81] += np.array([150, 100, 170], np.uint8)
    return im.from_uint8(torch.from_numpy(array).permute(2, 0, 1))


def around(y: int, x: int, radius: int) -> Iterator[tuple[int, int]]:
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            yield y + dy, x + dx


def mirrored(i: int, n: int) -> int:
    i = abs(i)
    return min(i, 2 * (n - 1) - i)


def test_equals_the_slow_definition() -> None:
    image = disc()
    array = im.to_array(image).astype(int)
    height, width, _ = array.shape
    edges = cv2.Canny(cv2.cvtColor(array.astype(np.uint8), cv2.COLOR_RGB2GRAY), 100, 200)
    taps = [1, 4, 6, 4, 1]
    expected = array.copy()
    for y in range(height):
        for x in range(width):
            near = [(v, u) for v, u in around(y, x, 2) if 0 <= v < height and 0 <= u < width]
            if any(edges[v, u] for v, u in near):
                total = np.zeros(3, dtype=int)
                for v, u in around(y, x, 2):
                    weight = taps[v - y + 2] * taps[u - x + 2]
                    total += weight * array[mirrored(v, height), mirrored(u, width)]
                expected[y, x] = np.floor(total / 256 + 0.5)
    assert 100 < (expected != array).any(-1).sum() < height * width / 2
    assert np.array_equal(im.to_array(EdgeSmooth()(image)), expected)


def test_step_edge_is_blurred_along_a_band_and_unchanged_elsewhere() -> None:
    image = torch.full((3, 20, 20), -1.0)
    image[..., 10:] = 1.0
    changed = (EdgeSmooth()(image) != image).any(0)
    # A Gaussian of radius 2 alters the two columns on either side of the step, no others.
    assert changed.any(0).nonzero().flatten().tolist() == [8, 9, 10, 11]


def test_flat_image_and_faint_steps_are_unchanged() -> None:
    flat = torch.rand(3, 1, 1).expand(3, 24, 24)
    assert torch.equal(EdgeSmooth()(flat), flat)
    faint = im.from_uint8(torch.full((3, 24, 24), 100, dtype=torch.uint8))
    faint[..., 12:] = 110 / 127.5 - 1  # a Sobel response of 4 * 10, under the lower threshold
    assert torch.equal(EdgeSmooth()(faint), faint)
    assert not torch.equal(EdgeSmooth(low=20, high=30)(faint), faint)


def test_edges_are_those_of_luminance() -> None:
    """A step of 180 is 54 grey levels in red (Sobel 215, an edge) and 21 in blue (82, none)."""
    for channel, is_edge in ((0, True), (2, False)):
        image = torch.full((3, 20, 20), -1.0)
        image[channel, :, 10:] = 180 / 127.5 - 1
        assert torch.equal(EdgeSmooth()(image), image) != is_edge


def test_feather_mixes_image_and_blur() -> None:
    image = disc()
    hard, soft = EdgeSmooth()(image), EdgeSmooth(feather=2)(image)
    blurred = torch.from_numpy(cv2.GaussianBlur(im.to_array(image), (5, 5), 0)).permute(2, 0, 1)
    low, high = torch.minimum(image, im.from_uint8(blurred)), torch.maximum(image, im.from_uint8(blurred))
    assert ((soft >= low - 1e-6) & (soft <= high + 1e-6)).all()
    assert not torch.equal(hard, soft)
    assert torch.equal(soft[:, 35:, :10], image[:, 35:, :10])  # far from the disc


def test_the_input_is_left_alone_and_bad_arguments_are_refused() -> None:
    image = disc()
    copy = image.clone()
    EdgeSmooth()(image)
    assert torch.equal(image, copy)
    with pytest.raises(ValueError, match="odd kernel"):
        EdgeSmooth(kernel=4)
