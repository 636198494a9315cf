"""Each distance against closed forms, independent implementations, and sets built to be decided."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from toonlab.metrics import distances
from toonlab.metrics.distances import (
    KernelMMD,
    NearestNeighbourAccuracy,
    frechet_distance,
    kernel_distance,
)

KID = {"subsets": 3, "degree": 3, "coef": 1.0, "seed": 5}


def normal(n: int, d: int, seed: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * std + mean


def with_moments(samples: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Shift and turn samples so that their sample moments are exactly these."""
    centred = samples - samples.mean(0)
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(torch.cov(centred.T)), centred.T, upper=False
    ).T
    return whitened @ torch.linalg.cholesky(covariance).T + mean


def kernel(real: Tensor, fake: Tensor, **options: float) -> dict[str, float]:
    metric = KernelMMD(**options)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return {name: float(value) for name, value in metric.compute().items()}


def neighbours(real: Tensor, fake: Tensor, **options: int) -> dict[str, float]:
    metric = NearestNeighbourAccuracy(**options)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return {name: float(value) for name, value in metric.compute().items()}


# Fréchet --------------------------------------------------------------------


def test_frechet_of_known_gaussians() -> None:
    # Commuting covariances: |Δμ|² + Σ (σ₁ - σ₂)² = (9 + 16) + (1 - 2)² + (3 - 1)² + 0 = 30.
    mean = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    real = with_moments(
        normal(50, 3, 1), torch.zeros(3).double(), torch.diag(torch.tensor([1.0, 9, 4]).double())
    )
    fake = with_moments(normal(70, 3, 2), mean, torch.diag(torch.tensor([4.0, 1, 4]).double()))
    assert frechet_distance(real, fake) == pytest.approx(30, abs=1e-6)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (10, 40)])  # whole rank, and fewer samples than features
def test_frechet_against_scipy(n: int, d: int) -> None:
    real, fake = normal(n, d, 3), normal(n, d, 4, mean=0.3, std=1.5)
    a, b = np.cov(real.T.numpy()), np.cov(fake.T.numpy())
    root = np.trace(scipy.linalg.sqrtm(scipy.linalg.sqrtm(a) @ b @ scipy.linalg.sqrtm(a)).real)
    shift = float((real.mean(0) - fake.mean(0)).square().sum())
    expected = shift + np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-4)


def test_frechet_of_equal_sets_is_zero_and_never_below() -> None:
    values = [frechet_distance(normal(n, 30, n), normal(n, 30, n)) for n in range(5, 40, 5)]
    assert min(values) >= 0
    assert max(values) < 1e-4


# KID ------------------------------------------------------------------------


def test_kid_of_whole_sets_is_the_unbiased_mmd() -> None:
    real, fake = normal(7, 4, 1), normal(7, 4, 2, mean=0.5)

    def k(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 4 + 1) ** 3

    n = range(7)
    same = sum(k(s[i], s[j]) for s in (real, fake) for i in n for j in n if i != j) / (7 * 6)
    cross = sum(k(real[i], fake[j]) for i in n for j in n) / 49
    mean, std = kernel_distance(real, fake, subset_size=7, **KID)
    assert mean == pytest.approx(same - 2 * cross, abs=1e-9)
    assert std == pytest.approx(0, abs=1e-9)  # every subset is the whole set


def test_kid_draws_by_its_seed_and_leaves_the_global_one() -> None:
    real, fake = normal(20, 4, 1), normal(20, 4, 2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = kernel_distance(real, fake, subset_size=10, **KID)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert kernel_distance(real, fake, subset_size=10, **KID) == first
    assert kernel_distance(real, fake, subset_size=10, **{**KID, "seed": 6}) != first


# Kernel MMD -------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_mmd_against_a_double_loop(sigma: float) -> None:
    real, fake, n = normal(6, 3, 1), normal(6, 3, 2, mean=0.7), 6

    def squared(x: Tensor, y: Tensor) -> float:
        return float((x - y).square().sum())

    s = sum(squared(a, b) for a in real for b in real) / n**2  # zero diagonal included

    def total(xs: Tensor, ys: Tensor) -> float:
        return sum(math.exp(-squared(x, y) / (2 * sigma**2 * s)) for x in xs for y in ys)

    biased = (total(real, real) + total(fake, fake) - 2 * total(real, fake)) / n**2
    off_diagonal = (total(real, real) - n + total(fake, fake) - n) / (n * (n - 1))
    expected = {
        "mmd2_biased": biased,
        "mmd": math.sqrt(biased),
        "mmd2_unbiased": off_diagonal - 2 * total(real, fake) / n**2,
    }
    assert kernel(real, fake, sigma=sigma) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_equal_sets_is_zero() -> None:
    found = kernel(normal(9, 3, 1), normal(9, 3, 1))
    assert found["mmd2_biased"] == pytest.approx(0, abs=1e-12)
    assert found["mmd2_unbiased"] < 0  # each vector's twin is in the other set: less than chance


def test_mmd_noise_floor_of_the_reference() -> None:
    # Two samples of one 512-d Gaussian, n = 197: the reference simulated 0.063.
    assert kernel(normal(197, 512, 1), normal(197, 512, 2))["mmd"] == pytest.approx(0.063, abs=0.002)


def test_mmd_takes_its_bandwidth_from_the_real_set() -> None:
    narrow, wide = normal(8, 3, 1, std=0.1), normal(8, 3, 2, std=3.0)
    assert kernel(narrow, wide)["mmd"] != pytest.approx(kernel(wide, narrow)["mmd"], rel=0.05)


def test_mmd_of_a_constant_real_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no bandwidth"):
        kernel(torch.ones(4, 3), normal(4, 3, 1))


# 1-NN -----------------------------------------------------------------------


def test_twins_score_zero_and_separate_sets_one() -> None:
    real = normal(20, 3, 1)
    twins = neighbours(real, real + 1e-6)
    assert (twins["accuracy"], twins["acc_real"], twins["acc_fake"]) == (0, 0, 0)
    assert twins["p_value"] == 1
    apart = neighbours(real, real + 100, permutations=199)
    assert (apart["accuracy"], apart["acc_real"], apart["acc_fake"]) == (1, 1, 1)
    assert apart["p_value"] == pytest.approx(1 / 200)


def test_one_distribution_scores_a_half() -> None:
    # n = 400 a side: the standard error is about sqrt(1/4 / 800) = 0.018; four of them, seeds fixed.
    found = neighbours(normal(400, 4, 1), normal(400, 4, 2))
    assert found["accuracy"] == pytest.approx(0.5, abs=0.072)
    assert found["p_value"] > 0.05


def test_sides_are_told_apart() -> None:
    # Fakes in a clump far from all reals but one: every neighbour is of the own side, but for the real in the
    # clump (100.05, nearest 100.02).
    real = torch.tensor([[0.0], [1.0], [2.5], [100.05]])
    fake = torch.tensor([[100.0], [100.02], [100.11], [100.12]])
    found = neighbours(real, fake)
    assert found["acc_real"] == 0.75
    assert found["acc_fake"] == 1.0
    assert found["accuracy"] == 0.875


def test_ties_count_for_their_share() -> None:
    # Around the real at 0: a real at -1 and a fake at 1, equally near. Of the others, each has one nearest.
    real, fake = torch.tensor([[0.0], [-1.0]]), torch.tensor([[1.0], [9.0]])
    found = neighbours(real, fake)
    assert (found["acc_real"], found["acc_fake"]) == (0.75, 0.5)  # (1/2 + 1) / 2, and (0 + 1) / 2


def test_accuracy_against_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "ROWS", 7)  # several blocks of the matrix
    real, fake = normal(30, 5, 1), normal(30, 5, 2, mean=0.6)
    pool = torch.cat([real, fake]).numpy()
    found = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(pool).kneighbors(pool)[1][:, 1]
    right = (found < 30) == (np.arange(60) < 30)
    ours = neighbours(real, fake)
    assert ours["accuracy"] == pytest.approx(right.mean())
    assert ours["acc_real"] == pytest.approx(right[:30].mean())
    assert ours["acc_fake"] == pytest.approx(right[30:].mean())


def test_p_value_repeats_and_leaves_the_global_generator() -> None:
    real, fake = normal(20, 3, 1), normal(20, 3, 2, mean=0.3)
    before = torch.get_rng_state()
    first = neighbours(real, fake)
    assert torch.equal(torch.get_rng_state(), before)
    assert neighbours(real, fake) == first


# Both -------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 12))
def test_the_order_of_vectors_does_not_matter(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randint(0, 4, (2, n, 2), generator=generator).double()  # small integers: many ties
    real[0] += 1  # never all equal
    real[1] -= 1
    order = torch.randperm(n, generator=generator)
    plain, mixed = neighbours(real, fake), neighbours(real[order], fake[order.flip(0)])
    for key in ("accuracy", "acc_real", "acc_fake"):
        assert mixed[key] == pytest.approx(plain[key], abs=1e-12)
    assert kernel(real[order], fake[order.flip(0)]) == pytest.approx(kernel(real, fake), abs=1e-7)


def test_batches_add_up() -> None:
    real, fake = normal(8, 3, 1), normal(8, 3, 2)
    whole = kernel(real, fake), neighbours(real, fake)
    parts = KernelMMD(), NearestNeighbourAccuracy()
    for metric in parts:
        for vectors, is_real in ((real, True), (fake, False)):
            metric.update(vectors[:3], real=is_real)
            metric.update(vectors[3:], real=is_real)
    for metric, expected in zip(parts, whole, strict=True):
        assert {k: float(v) for k, v in metric.compute().items()} == expected


@pytest.mark.parametrize("metric", [KernelMMD, NearestNeighbourAccuracy])
def test_unequal_or_tiny_sets_are_refused(metric: type[KernelMMD] | type[NearestNeighbourAccuracy]) -> None:
    unequal = metric()
    unequal.update(normal(4, 3, 1), real=True)
    unequal.update(normal(5, 3, 1), real=False)
    with pytest.raises(ValueError, match="4 real, 5 fake"):
        unequal.compute()
    one = metric()
    one.update(normal(1, 3, 1), real=True)
    one.update(normal(1, 3, 2), real=False)
    with pytest.raises(ValueError, match="1 real, 1 fake"):
        one.compute()
    empty = metric()
    empty.update(normal(3, 3, 1), real=True)
    with pytest.raises(ValueError, match="3 real, 0 fake"):
        empty.compute()
