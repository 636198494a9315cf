"""Content: equal pictures, moved edges, and pictures that have nothing to do with each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.metric_tiny import pictures, tiny_content
from toonlab.metrics.content import edge_f1, edges, map_distance

OPTIONS = {"thresholds": (100, 200), "tolerance": 2}


def bars(offset: int, size: int = 64) -> Tensor:
    """Two black rectangles on white, away from the border."""
    image = torch.ones(1, 3, size, size)
    image[..., 12:28, 12 + offset : 28 + offset] = -1
    image[..., 36:52, 20 + offset : 44 + offset] = -1
    return image


def agreement(ours: Tensor, theirs: Tensor) -> float:
    return float(edge_f1(edges(ours, **OPTIONS), edges(theirs, **OPTIONS)))


def test_map_distance_is_two_minus_twice_the_cosine() -> None:
    u = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    for degrees in (0, 60, 90, 180):
        angle = math.radians(degrees)
        v = 7 * torch.tensor([math.cos(angle), math.sin(angle)]).view(1, 2, 1, 1)  # length does not count
        assert float(map_distance(u, v)) == pytest.approx(2 - 2 * math.cos(angle), abs=1e-6)


def test_map_distance_is_a_mean_over_positions_per_image() -> None:
    ours = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).T.view(1, 2, 1, 2).repeat(2, 1, 1, 1)
    theirs = ours.clone()
    theirs[1, :, 0, 0] = torch.tensor([0.0, 1.0])  # one of two positions turns by 90 degrees
    assert map_distance(ours, theirs).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize("turned", [False, True])  # along both axes
def test_edges_may_move_by_the_tolerance_and_no_further(turned: bool) -> None:
    still, *moved = (bars(offset).mT if turned else bars(offset) for offset in range(4))
    assert agreement(still, still) == 1
    assert agreement(still, moved[0]) == 1
    assert agreement(still, moved[1]) == 1
    assert agreement(still, moved[2]) < 0.8  # edges along the shift still agree, those across do not


def test_edge_f1_by_hand() -> None:
    # Ours: a line of 10 pixels; theirs: the same line and a far one of 30. Precision 1, recall 10 / 40: 0.4.
    ours, theirs = torch.zeros(1, 40, 40, dtype=torch.bool), torch.zeros(1, 40, 40, dtype=torch.bool)
    ours[0, 5, :10] = theirs[0, 5, :10] = theirs[0, 30, :30] = True
    assert float(edge_f1((ours, ours), (theirs, theirs))) == pytest.approx(2 * 1 * 0.25 / 1.25)


def test_flat_pictures_agree_and_a_lost_drawing_does_not() -> None:
    flat = torch.zeros(1, 3, 64, 64)
    assert agreement(flat, flat) == 1
    assert agreement(flat, bars(0)) == 0
    assert agreement(bars(0), flat) == 0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_agreement_is_symmetric_and_a_share(seed: int) -> None:
    ours, theirs = pictures(1, seed, size=64), pictures(1, seed + 1, size=64)
    assert agreement(ours, theirs) == pytest.approx(agreement(theirs, ours))
    assert 0 <= agreement(ours, theirs) <= 1


def test_content_of_equal_pictures_is_zero_and_grows_with_noise() -> None:
    photo, noise = pictures(3, 1), torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    means = []
    for strength in (0.0, 0.05, 0.2, 0.8):
        content = tiny_content()
        content.update((photo + strength * noise).clamp(-1, 1), photo)
        means.append(float(torch.cat(content.pairs)[:, 0].mean()))
    assert means[0] == pytest.approx(0, abs=1e-12)
    assert means == sorted(means)
    assert means[-1] > 10 * means[1] > 0


def test_unrelated_is_each_photo_with_its_predecessor_whatever_the_batches() -> None:
    photos = pictures(5, 1)
    whole, parts, pairs = tiny_content(), tiny_content(), tiny_content()
    whole.update(photos, photos)
    for batch in photos.split([1, 3, 1]):
        parts.update(batch, batch)
    pairs.update(photos[1:], photos[:-1])
    assert torch.cat(whole.unrelated).shape == (4, 2)
    assert torch.allclose(torch.cat(whole.unrelated), torch.cat(pairs.pairs), atol=1e-6)
    assert torch.allclose(torch.cat(parts.unrelated), torch.cat(whole.unrelated), atol=1e-6)
