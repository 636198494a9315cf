"""Loss values worked out by hand, and the direction of every gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from toonlab.losses.adversarial import Adversarial, CrossEntropy, LeastSquares
from toonlab.losses.perceptual import feature_distance
from toonlab.losses.pixel import total_variation

RNG = torch.Generator().manual_seed(0)


def test_least_squares_values() -> None:
    scores = torch.tensor([[-3.0], [0.5]])
    loss = LeastSquares()
    assert loss.fool(scores).item() == pytest.approx((16 + 0.25) / 2)  # (-3-1)², (0.5-1)²
    assert loss.real(scores, RNG).item() == pytest.approx((16 + 0.25) / 2)
    assert loss.fake(scores, RNG).item() == pytest.approx((9 + 0.25) / 2)  # (-3)², 0.5²


def test_cross_entropy_values() -> None:
    scores = torch.tensor([[0.0], [1.0]])
    loss = CrossEntropy()
    # -log s(0) = log 2 = 0.693147; -log s(1) = log(1 + 1/e) = 0.313262; -log(1 - s(1)) = 1.313262
    assert loss.fool(scores).item() == pytest.approx((0.693147 + 0.313262) / 2, abs=1e-6)
    assert loss.real(scores, RNG).item() == pytest.approx((0.693147 + 0.313262) / 2, abs=1e-6)
    assert loss.fake(scores, RNG).item() == pytest.approx((0.693147 + 1.313262) / 2, abs=1e-6)


@pytest.mark.parametrize("loss", [LeastSquares(), CrossEntropy()], ids=["lsgan", "bce"])
def test_every_question_pulls_the_right_way(loss: Adversarial) -> None:
    for ask, rises in [
        (loss.fool, True),
        (lambda s: loss.real(s, RNG), True),
        (lambda s: loss.fake(s, RNG), False),
    ]:
        scores = torch.tensor([[0.2], [0.8]], requires_grad=True)  # between both labels
        ask(scores).backward()
        step = -scores.grad  # what descent adds to the scores
        assert (step > 0).all() if rises else (step < 0).all()


def test_soft_labels_are_for_the_discriminator_and_shared_by_a_samples_patches() -> None:
    loss = LeastSquares(soft=0.1)
    scores = torch.zeros(2, 1, 3, 3)
    real = loss.real(scores, torch.Generator().manual_seed(3))
    draw = torch.rand(2, generator=torch.Generator().manual_seed(3)) * 0.1
    assert real.item() == pytest.approx((1 - draw).square().mean().item())
    fake = loss.fake(scores, torch.Generator().manual_seed(3))
    assert fake.item() == pytest.approx(draw.square().mean().item())
    assert loss.fool(scores).item() == 1.0


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    # vertical: (3-0)², (3-1)² -> 6.5; horizontal: (1-0)², (3-3)² -> 0.5
    assert total_variation(image).item() == pytest.approx(7.0)
    assert total_variation(torch.full((1, 3, 5, 7), 0.3)).item() == 0


@given(value=st.floats(-1, 1, width=32), repeats=st.integers(1, 4))
def test_total_variation_means_the_same_at_any_size(value: float, repeats: int) -> None:
    stripes = torch.tensor([-1.0, value]).repeat(8)[None, None, None].expand(1, 1, 16, 16)
    larger = stripes.repeat(1, 1, repeats, 1)
    torch.testing.assert_close(total_variation(stripes), total_variation(larger))


def test_feature_distance_averages_taps_not_elements() -> None:
    ours = {"a": torch.zeros(1, 1, 2, 2), "b": torch.zeros(1, 1, 1, 1)}
    theirs = {"a": torch.full((1, 1, 2, 2), -2.0), "b": torch.full((1, 1, 1, 1), 4.0)}
    assert feature_distance(ours, theirs).item() == pytest.approx((2 + 4) / 2)
    assert feature_distance(ours, ours).item() == 0
    with pytest.raises(ValueError, match="taps differ"):
        feature_distance(ours, {"a": ours["a"]})


def test_feature_distance_pulls_towards_the_target() -> None:
    image = torch.zeros(1, 3, 8, 8, requires_grad=True)
    target = torch.ones(1, 3, 8, 8)
    feature_distance({"x": F.avg_pool2d(image, 2)}, {"x": F.avg_pool2d(target, 2)}).backward()
    assert (image.grad < 0).all()
