"""Poisson blending against a dense solve, against OpenCV inside a picture, and at every border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toonlab import images
from toonlab.representations.inpainting.blend import poisson
from toonlab.representations.inpainting.holes import KINDS, hole


def smooth(n: int, height: int, width: int, seed: int, scale: float = 0.4) -> Tensor:
    small = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 2 * scale - scale
    return torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")


def dense(inside: Tensor, outside: Tensor, known: Tensor) -> np.ndarray:
    """One channel, pixel by pixel, as the equations are written: float64, a full matrix."""
    g, f, m = (each.double().numpy() for each in (inside, outside, known))
    height, width = m.shape
    a, b = np.zeros((m.size, m.size)), np.zeros(m.size)
    for i, j in np.ndindex(m.shape):
        p = i * width + j
        if m[i, j]:
            a[p, p], b[p] = 1, f[i, j]
            continue
        for y, x in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= y < height and 0 <= x < width:
                a[p, p] += 1
                a[p, y * width + x] -= 1
                b[p] += g[i, j] - g[y, x]
    return np.linalg.solve(a, b).reshape(m.shape)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(2, 13),
    width=st.integers(2, 13),
    seed=st.integers(0, 999),
    share=st.sampled_from([0.1, 0.5, 0.95]),
    direct=st.sampled_from([0, 10, 10**6]),
)
def test_is_the_dense_solution_for_any_mask_and_by_both_solvers(
    height: int, width: int, seed: int, share: float, direct: int
) -> None:
    inside, outside = smooth(1, height, width, seed, 0.1), smooth(1, height, width, seed + 1, 0.1)
    known = (torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed)) > share).float()
    known[0, 0, seed % height, seed % width] = 1
    blended = poisson(inside, outside, known, direct=direct)
    for channel in range(3):
        expected = dense(inside[0, channel], outside[0, channel], known[0, 0])
        np.testing.assert_allclose(blended[0, channel].numpy(), expected, atol=2e-4)
    assert torch.equal(blended * known, outside * known)


@pytest.mark.parametrize("kind", KINDS)
def test_large_holes_come_out_alike_by_both_solvers(kind: str) -> None:
    inside, outside = smooth(1, 120, 98, 1), smooth(1, 120, 98, 2)
    known = hole(kind, 120, 98, torch.Generator().manual_seed(0))[None]
    torch.testing.assert_close(
        poisson(inside, outside, known, direct=500), poisson(inside, outside, known), atol=4e-3, rtol=0
    )


def test_a_constant_offset_disappears_also_at_the_border() -> None:
    # The inside is the outside, only lighter: the blend is the outside itself.
    outside = smooth(4, 20, 20, 3)
    known = torch.ones(4, 1, 20, 20)
    known[0, :, :7], known[1, :, -3:], known[2, :, 5:, :9], known[3, :, 4:9, 4:9] = 0, 0, 0, 0
    torch.testing.assert_close(poisson(outside + 0.3, outside, known), outside, atol=1e-5, rtol=0)


def test_nothing_and_everything_missing() -> None:
    inside, outside = smooth(2, 8, 8, 1), smooth(2, 8, 8, 2)
    known = torch.stack([torch.ones(1, 8, 8), torch.zeros(1, 8, 8)])
    blended = poisson(inside, outside, known)
    assert torch.equal(blended[0], outside[0])
    assert torch.equal(blended[1], inside[1])


def test_the_outside_of_the_hole_is_never_read_and_the_range_is_kept() -> None:
    inside, outside = smooth(1, 16, 16, 1, 1.0), smooth(1, 16, 16, 2, 1.0)
    known = hole("box", 16, 16, torch.Generator())[None]
    blended = poisson(inside, outside, known)
    nowhere = torch.where(known > 0, outside, torch.full_like(outside, torch.nan))
    assert torch.equal(poisson(inside, nowhere, known), blended)
    assert blended.abs().max() <= 1


def test_agrees_with_seamless_clone_inside_a_picture() -> None:
    inside, outside = smooth(1, 192, 192, 5), smooth(1, 192, 192, 6)
    known = hole("box", 192, 192, torch.Generator())[None]
    hollow = np.s_[48:144, 48:144]
    ours = images.to_array(poisson(inside, outside, known)[0])[hollow].astype(int)
    # OpenCV erodes the mask three times, and solves in its whole bounding box: alike, not equal.
    mask = np.zeros((192, 192), np.uint8)
    mask[45:147, 45:147] = 255
    pasted, page = images.to_array(inside[0]), images.to_array(outside[0])
    theirs = cv2.seamlessClone(pasted, page, mask, (95, 95), cv2.NORMAL_CLONE)[hollow]
    assert np.abs(ours - theirs).mean() < 2  # levels of 255
    assert np.abs(pasted[hollow] - theirs.astype(int)).mean() > 10
