"""Losses in the hole alone, against numbers worked out by hand."""

import pytest
import torch

from toonlab.losses.hole import hole_feature_distance, hole_l1, hole_mean, hole_variation


def test_a_mean_counts_places_by_their_missing_share() -> None:
    values = torch.tensor([[[[1.0, 5.0]], [[3.0, 7.0]]]])  # two channels, two places
    missing = torch.tensor([[[[1.0, 0.5]]]])
    assert float(hole_mean(values, missing)) == pytest.approx((1 + 3 + 0.5 * (5 + 7)) / (1.5 * 2))
    assert float(hole_mean(values, torch.zeros_like(missing))) == 0


def test_l1_is_each_pictures_own() -> None:
    ours, theirs = torch.zeros(2, 1, 1, 2), torch.tensor([[[[1.0, 9.0]]], [[[9.0, 4.0]]]])
    missing = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    assert hole_l1(ours, theirs, missing).tolist() == [1.0, 4.0]


def test_feature_distance_is_the_length_between_unit_vectors() -> None:
    ours = {"tap": torch.tensor([[[[3.0, 1.0]], [[0.0, 0.0]]]])}  # both along the first channel
    theirs = {"tap": torch.tensor([[[[0.0, 2.0]], [[5.0, 0.0]]]])}  # orthogonal, then the same direction
    left, both = torch.tensor([[[[1.0, 0.0]]]]), torch.ones(1, 1, 1, 2)
    assert float(hole_feature_distance(ours, theirs, left)) == pytest.approx(2**0.5)
    assert float(hole_feature_distance(ours, theirs, both)) == pytest.approx(1.0)  # sqrt((2 + 0) / 2)
    with pytest.raises(ValueError, match="taps differ"):
        hole_feature_distance(ours, {"other": theirs["tap"]}, both)


def test_feature_distance_has_a_gradient_where_nothing_differs() -> None:
    ours = torch.ones(1, 2, 2, 2, requires_grad=True)
    hole_feature_distance({"a": ours}, {"a": torch.ones(1, 2, 2, 2)}, torch.ones(1, 1, 2, 2)).sum().backward()
    assert torch.isfinite(ours.grad).all()


def test_variation_is_of_the_hole_and_its_edge() -> None:
    image = torch.tensor([[[[0.0, 1.0, 3.0, 9.0]]]])
    missing = torch.tensor([[[[0.0, 0.0, 1.0, 0.0]]]])
    # Steps 1-3 and 3-9 touch the hole, 0-1 does not; one row has no vertical neighbours.
    assert float(hole_variation(image, missing)) == pytest.approx((2**2 + 6**2) / 2)
