"""Bootstrap draws against the same draws made one by one, with the metrics themselves."""

import numpy as np
import pytest
import torch
from torch import Tensor

from toonlab.metrics.distances import frechet_distance
from toonlab.metrics.intervals import around, frechet_draws, kernel_draws


def sets(n: int = 7, width: int = 5) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(n, width, generator=rng), torch.randn(n, width, generator=rng) * 0.8 + 0.5


def slow_kid(real: Tensor, fake: Tensor, i: np.ndarray, j: np.ndarray) -> float:
    """Mean kernel over pairs of positions whose images differ; all pairs between the sets."""

    def kernel(a: Tensor, b: Tensor) -> float:
        return float(((a.double() @ b.double()) / len(a) + 1) ** 3)

    def within(x: Tensor, index: np.ndarray) -> float:
        pairs = [(a, b) for a in index for b in index if a != b]
        return float(np.mean([kernel(x[a], x[b]) for a, b in pairs]))

    between = np.mean([kernel(real[a], fake[b]) for a in i for b in j])
    return within(real, i) + within(fake, j) - 2 * float(between)


def test_kid_of_resampled_sets_pair_by_pair() -> None:
    real, fake = sets()
    draws = kernel_draws(real, fake, resamples=5, degree=3, coef=1.0, seed=4)
    rng = np.random.default_rng(4)
    of_real, of_fake = (rng.multinomial(7, [1 / 7] * 7, size=5) for _ in range(2))
    for draw, ours, theirs in zip(draws, of_real, of_fake, strict=True):
        expected = slow_kid(real, fake, np.repeat(np.arange(7), ours), np.repeat(np.arange(7), theirs))
        assert draw == pytest.approx(expected, rel=1e-9)


def test_frechet_of_resampled_sets_is_torchmetrics_own() -> None:
    real, fake = sets(n=12)
    draws = frechet_draws(real, fake, resamples=4, seed=5)
    rng = np.random.default_rng(5)
    for draw in draws:
        i, j = (torch.from_numpy(rng.integers(12, size=12)) for _ in range(2))
        assert draw == pytest.approx(frechet_distance(real[i], fake[j]), abs=1e-6)


def test_twins_do_not_lower_kid() -> None:
    """Equal distributions have KID 0; twins counted as pairs would put the mean of the draws far above."""
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(40, 16, generator=rng), torch.randn(40, 16, generator=rng)
    draws = kernel_draws(real, fake, resamples=800, degree=3, coef=1.0, seed=0)
    full = kernel_draws(real, fake, resamples=1, degree=3, coef=1.0, seed=0)
    assert np.isfinite(full).all()
    assert abs(draws.mean()) < 0.1  # each twin adds about (1 + 1)³ - 1 = 7 to a pair, one pair in 40 is such


def test_no_draw_is_of_one_image_alone() -> None:
    real, fake = sets(n=2)
    draws = kernel_draws(real, fake, resamples=200, degree=3, coef=1.0, seed=0)
    assert 0 < len(draws) < 200  # of two images, every second draw is the same one twice
    assert np.isfinite(draws).all()


def test_an_interval_lies_around_its_value() -> None:
    draws = np.arange(101.0)
    assert around(7.0, draws, level=0.9) == pytest.approx((7 - 45, 7 + 45))


def test_intervals_tell_far_sets_apart() -> None:
    """The interval of KID holds the value of fresh samples of the same two distributions."""
    rng = torch.Generator().manual_seed(1)

    def sample() -> tuple[Tensor, Tensor]:
        return torch.randn(60, 8, generator=rng), torch.randn(60, 8, generator=rng) + 0.7

    def draws(seed: int, resamples: int) -> np.ndarray:
        return kernel_draws(*sample(), resamples=resamples, degree=3, coef=1.0, seed=seed)

    truth = np.mean([draws(seed, 20).mean() for seed in range(60)])
    held = 0
    for seed in range(40):
        found = draws(seed, 300)
        low, high = around(float(found.mean()), found)
        held += low < truth < high
    assert 34 <= held <= 40  # 95 % of 40 is 38
