"""Judges of features: one for each tap, all on the coarsest tap's grid."""

from __future__ import annotations

import torch

from toonlab.networks.projected import FeatureJudges


def features(height: int, width: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        "fine": torch.randn(2, 3, 2 * height, 2 * width, generator=rng),
        "coarse": torch.randn(2, 5, height, width, generator=rng),
    }


def test_odd_sizes_meet_on_the_coarsest_grid() -> None:
    judges = FeatureJudges(channels={"fine": 3, "coarse": 5}, width=4)
    for height, width in ((4, 4), (3, 5), (1, 1)):
        assert judges(features(height, width)).shape == (2, 2, height, width)


def test_every_judge_learns_and_passes_its_gradient_on() -> None:
    judges = FeatureJudges(channels={"fine": 3, "coarse": 5}, width=4)
    read = {tap: value.requires_grad_() for tap, value in features(3, 5).items()}
    judges(read).square().mean().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in read.values())
    assert all(p.grad is not None for p in judges.parameters())


def test_a_tap_is_judged_by_its_own_judge_alone() -> None:
    judges = FeatureJudges(channels={"fine": 3, "coarse": 5}, width=4).eval()
    one = features(3, 3)
    other = {**one, "coarse": -one["coarse"]}
    with torch.no_grad():
        before, after = judges(one), judges(other)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])
