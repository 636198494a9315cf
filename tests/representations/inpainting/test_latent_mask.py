"""Cells that saw the hole, and weights that grow towards it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from toonlab.representations.inpainting.latent_mask import context_weights, known_cells


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    stride=st.integers(1, 4),
    erode=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_known_cells_are_scipys_erosion_of_blocks(
    height: int, width: int, stride: int, erode: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    known = rng.random((height * stride, width * stride)) > 0.08
    whole = known.reshape(height, stride, width, stride).all(axis=(1, 3))
    side = 2 * erode + 1
    expected = binary_erosion(whole, np.ones((side, side)), border_value=1)
    found = known_cells(torch.from_numpy(known).float()[None, None], stride, erode)
    assert (found[0, 0].bool().numpy() == expected).all()


def test_a_mask_without_whole_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="10x8 pixels has no whole cells of 4"):
        known_cells(torch.ones(1, 1, 8, 10), 4, 0)


def test_context_weights_by_hand_and_growing_towards_the_hole() -> None:
    known = torch.ones(1, 1, 1, 7)
    known[..., 5:] = 0
    # Windows of 5 in a row of 7: none, none, none, one of five, two of five, hole.
    found = context_weights(known.expand(1, 1, 7, 7), 5)[0, 0, 3]
    torch.testing.assert_close(found, torch.tensor([0, 0, 0, 1 / 5, 2 / 5, 0, 0]))
    corner = context_weights(known, 5)[0, 0, 0]  # one row: windows are what exists of them
    torch.testing.assert_close(corner, found)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), window=st.sampled_from([1, 3, 7]))
def test_context_weights_are_the_papers_sum(seed: int, window: int) -> None:
    known = (torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(seed)) > 0.3).float()
    found, reach = context_weights(known, window), window // 2
    for i in range(9):
        for j in range(11):
            near = known[0, 0, max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
            assert float(found[0, 0, i, j]) == pytest.approx(
                float(known[0, 0, i, j] * (1 - near).mean()), abs=1e-6
            )


def test_an_even_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window=4: an odd number"):
        context_weights(torch.ones(1, 1, 8, 8), 4)
