"""Loss values worked out by hand, and the direction of every gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.losses.adversarial import Adversarial, CrossEntropy, LeastSquares
from toonlab.losses.perceptual import feature_distance, gram, gram_distance
from toonlab.losses.pixel import chroma_distance, colour_distance, total_variation

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


def test_gram_by_hand() -> None:
    # Channels (1, 2) and (3, -1) over two places: products 5, 1, 10, over 1 * 2 places * 2 channels.
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert gram(features).tolist() == [[[1.25, 0.25], [0.25, 2.5]]]
    other = {"a": torch.zeros(1, 2, 5, 4)}  # another size: statistics can be compared
    assert gram_distance({"a": features}, other).item() == pytest.approx((1.25 + 0.25 + 0.25 + 2.5) / 4)
    with pytest.raises(ValueError, match="taps differ"):
        gram_distance({"b": features}, other)


@given(seed=st.integers(0, 2**16), batch=st.integers(1, 4), channels=st.integers(1, 5))
def test_gram_agrees_with_numpy_image_by_image(seed: int, batch: int, channels: int) -> None:
    images = np.random.default_rng(seed).normal(size=(batch, channels, 4, 3))
    wanted = [np.einsum("iyx,jyx->ij", image, image) / image.size for image in images]
    found = gram(torch.tensor(images))
    np.testing.assert_allclose(found.numpy(), np.stack(wanted), atol=1e-6)


def test_gram_never_mixes_the_batch() -> None:
    """Flattening batch and channels together (a public port does) couples images and depends on the batch."""
    one, two = torch.randn(2, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    both = torch.cat([one, two]).requires_grad_()
    torch.testing.assert_close(gram(both), torch.cat([gram(one), gram(two)]))
    (gradient,) = torch.autograd.grad(gram(both)[0].square().sum(), both)
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0
    # The same images twice: the same loss.
    target, repeated = {"x": two}, {"x": torch.cat([two, two])}
    torch.testing.assert_close(
        gram_distance({"x": one}, target), gram_distance({"x": torch.cat([one, one])}, repeated)
    )


def test_gram_means_the_same_at_any_size() -> None:
    tile = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gram(tile), gram(tile.repeat(1, 1, 3, 5)))


def test_gram_is_exact_where_sixteen_bits_overflow() -> None:
    features = torch.full((1, 2, 64, 64), 300.0)  # 4096 * 300² = 3.7e8
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gram(features.to(torch.bfloat16))
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == [300.0**2 / 2] * 4


def test_colour_distance_by_hand() -> None:
    black, red = torch.full((1, 3, 2, 2), -1.0), torch.full((1, 3, 2, 2), -1.0)
    red[:, 0] = 1.0
    # Red in [0, 1]: Y 0.299, U -0.147141, V 0.614975; Huber is half the square below 1.
    wanted = 0.299 + 0.5 * 0.14714119**2 + 0.5 * 0.61497538**2
    assert colour_distance(red, black).item() == pytest.approx(wanted, abs=1e-6)
    assert colour_distance(red, red).item() == 0
    # Grey differs from black in luma alone: one half of the way to white.
    assert colour_distance(torch.zeros(1, 3, 2, 2), black).item() == pytest.approx(0.5, abs=1e-6)


def test_chroma_distance_by_hand() -> None:
    black, red = torch.full((1, 3, 2, 2), -1.0), torch.full((1, 3, 2, 2), -1.0)
    red[:, 0] = 1.0
    assert chroma_distance(red, black).item() == pytest.approx(0.14714119 + 0.61497538, abs=1e-6)
    assert chroma_distance(torch.ones(1, 3, 2, 2), black).item() == pytest.approx(0, abs=1e-6)  # white


@given(seed=st.integers(0, 2**16))
def test_colour_distance_agrees_with_the_definition_of_yuv(seed: int) -> None:
    ours, theirs = np.random.default_rng(seed).uniform(-3, 3, size=(2, 2, 3, 4, 5))  # beyond [-1, 1] as well

    def yuv(images: np.ndarray) -> tuple[np.ndarray, ...]:
        red, green, blue = np.moveaxis((images + 1) / 2, 1, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        return luma, 0.436 / (1 - 0.114) * (blue - luma), 0.615 / (1 - 0.299) * (red - luma)

    def huber(x: np.ndarray) -> float:
        return np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5).mean()

    (y, u, v), (y2, u2, v2) = yuv(ours), yuv(theirs)
    wanted = np.abs(y - y2).mean() + huber(u - u2) + huber(v - v2)
    assert colour_distance(torch.tensor(ours), torch.tensor(theirs)).item() == pytest.approx(wanted, rel=1e-3)


def test_colour_and_style_pull_towards_their_targets() -> None:
    target = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for distance in (
        lambda x: colour_distance(x, target),
        lambda x: gram_distance({"x": x}, {"x": target}),
    ):
        image = (target * 0.5).requires_grad_()
        before = distance(image)
        (gradient,) = torch.autograd.grad(before, image)
        assert distance(image - 1e-2 * gradient) < before


@pytest.mark.parametrize("soft", [-0.1, 0.5, 3])
def test_labels_that_could_be_each_others_are_refused(soft: float) -> None:
    with pytest.raises(UsageError, match=rf"method.adversarial.soft={soft}: from 0 .* below 0\.5"):
        LeastSquares(soft=soft)
