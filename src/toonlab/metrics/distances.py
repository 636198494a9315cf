"""Distances between two sets of feature vectors, `real` and `fake`, each `(n, d)`; all of it in float64."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.utilities.data import dim_zero_cat

from toonlab import keyed

ROWS = 1024  # of a distance matrix held at a time: 80 MB for 10,000 columns


class PassThrough(nn.Module):
    """Hands features to torchmetrics' FID and KID, which expect a network in this place."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Squared Fréchet distance between Gaussians fitted to the sets, by torchmetrics; never below 0.

    Biased upwards, more so the smaller n is: compare at equal n only.
    """
    real, fake = real.double(), fake.double()
    if len(real) + len(fake) < real.shape[1]:
        # Both covariances live in the span of the samples. In a basis of it the distance is the same, and
        # torchmetrics' eigenvalues cost 2n cubed instead of d cubed (d = 1280: seconds on a busy machine).
        basis = torch.linalg.qr(torch.cat([real, fake]).T).Q
        real, fake = real @ basis, fake @ basis
    metric = FrechetInceptionDistance(feature=PassThrough(real.shape[1]), sync_on_compute=False)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return max(float(metric.compute()), 0.0)  # equal sets come out at about ±1e-6


def kernel_distance(
    real: Tensor, fake: Tensor, *, subsets: int, subset_size: int, degree: int, coef: float, seed: int
) -> tuple[float, float]:
    """KID of Bińkowski et al. 2018 by torchmetrics: unbiased MMD² under (xᵀy/d + coef)^degree.

    Returns:
        Mean and standard deviation over `subsets` draws of `subset_size` vectors from each set. Equal seeds
        give equal draws; the global generator is left as it was.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*will save all extracted features", UserWarning)
        metric = KernelInceptionDistance(
            feature=PassThrough(real.shape[1]),
            subsets=subsets,
            subset_size=subset_size,
            degree=degree,
            coef=coef,
            sync_on_compute=False,
        )
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed GPUs too
        mean, std = metric.compute()
    return float(mean), float(std)


class _TwoSets(Metric):
    """Collects the features of both sets; gathers them over processes when computed, as every `Metric`."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        """Add `(B, d)` vectors to one of the sets."""
        (self.real if real else self.fake).append(features.double())

    def sets(self) -> tuple[Tensor, Tensor]:
        """Return both sets, `(n, d)` each.

        Raises:
            ValueError: their sizes differ, or are below 2.
        """
        real, fake = (dim_zero_cat(s) if len(s) else torch.empty(0, 0) for s in (self.real, self.fake))
        if len(real) != len(fake) or len(real) < 2:
            raise ValueError(
                f"need equally many vectors, at least 2 a set: {len(real)} real, {len(fake)} fake"
            )
        return real, fake


class KernelMMD(_TwoSets):
    """Gaussian-kernel MMD as GAN-Metrics defines it (Xu et al. 2018); the sets are not interchangeable.

    K = exp(-d² / (2 σ² s)), s the mean of the real-real d² with its zero diagonal.
    """

    def __init__(self, *, sigma: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.sigma = sigma

    def compute(self) -> dict[str, Tensor]:
        """Return `mmd2_biased` (diagonals kept), `mmd` (its root) and `mmd2_unbiased` (diagonals left out).

        Raises:
            ValueError: all real vectors are equal, so there is no bandwidth.
        """
        real, fake = self.sets()
        n = len(real)
        s = 2 * (real - real.mean(0)).square().sum() / n  # the mean over all n² pairs, without making them
        if s == 0:
            raise ValueError("all real feature vectors are equal: the kernel has no bandwidth")
        scale = 2 * self.sigma**2 * s
        rr, ff, rf = (_kernel_sum(a, b, scale) for a, b in ((real, real), (fake, fake), (real, fake)))
        biased = ((rr + ff - 2 * rf) / n**2).clamp(min=0)  # below 0 by rounding only
        unbiased = (rr + ff - 2 * n) / (n * (n - 1)) - 2 * rf / n**2
        return {"mmd2_biased": biased, "mmd": biased.sqrt(), "mmd2_unbiased": unbiased}


class NearestNeighbourAccuracy(_TwoSets):
    """Leave-one-out accuracy of telling real from fake by the nearest neighbour (Lopez-Paz and Oquab 2017).

    1/2 is ideal, 1 is separable, 0 means that each vector has a twin in the other set. Where several
    neighbours are equally near, each counts for its share, so the order of the vectors does not matter.
    """

    def __init__(self, *, permutations: int = 1000, seed: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self.permutations, self.seed = permutations, seed

    def compute(self) -> dict[str, Tensor]:
        """Return `accuracy`, `acc_real`, `acc_fake` and `p_value`.

        The p-value's null: real and fake come from one distribution, so that labels are exchangeable. It is
        the share of label permutations, the observed one included, with an accuracy at least the observed.
        """
        real, fake = self.sets()
        n, pool = len(real), torch.cat([real, fake])
        point, neighbour, share = _nearest(pool)
        is_real = torch.arange(2 * n, device=pool.device) < n
        right = pool.new_zeros(2 * n).index_add_(0, point, share * (is_real[point] == is_real[neighbour]))

        generator = keyed.generator(self.seed, "nearest neighbours")
        draws = torch.rand(self.permutations, 2 * n, generator=generator).to(pool.device)
        labels = draws.argsort(dim=1) < n
        shuffled = ((labels[:, point] == labels[:, neighbour]) * share).sum(dim=1)
        at_least = (shuffled >= right.sum() - 1e-9).sum()
        return {
            "accuracy": right.mean(),
            "acc_real": right[:n].mean(),
            "acc_fake": right[n:].mean(),
            "p_value": (1 + at_least) / (1 + self.permutations),
        }


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # By differences, not by the faster x² + y² - 2xy: twins are then at exactly 0.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _kernel_sum(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    sums = [(-_distances(rows, b).square() / scale).exp().sum() for rows in torch.split(a, ROWS)]
    return torch.stack(sums).sum()


def _nearest(pool: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return every (point, nearest neighbour) pair, and one over the number of the point's nearest."""
    pairs, shares = [], []
    for start in range(0, len(pool), ROWS):
        distances = _distances(pool[start : start + ROWS], pool)
        distances.diagonal(offset=start).fill_(torch.inf)
        is_nearest = distances == distances.min(dim=1, keepdim=True).values
        found = is_nearest.nonzero()
        shares.append((1.0 / is_nearest.sum(dim=1).double())[found[:, 0]])
        pairs.append(found + found.new_tensor([start, 0]))
    point, neighbour = torch.cat(pairs).unbind(dim=1)
    return point, neighbour, torch.cat(shares)
