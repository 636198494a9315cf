"""How far a score of these images may lie from one of others like them: bootstrap over images.

An image drawn twice is its own twin. KID leaves pairs of twins out, as it leaves out an image with itself;
without that it would fall by the twins' likeness. 1-NN has no such remedy, so it gets no interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


def around(value: float, draws: Array, *, level: float = 0.95) -> tuple[float, float]:
    """Return the quantiles of the draws about their own mean, moved to `value`.

    Moved, because resampled sets hold fewer different images: Fréchet distances of them are larger, all of
    them. What is wanted is the spread at this n; compare at equal n only.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(draws - draws.mean(), [tail, 1 - tail])
    return value + float(low), value + float(high)


def kernel_draws(real: Tensor, fake: Tensor, *, resamples: int, degree: int, coef: float, seed: int) -> Array:
    """KID over all pairs of different images, of sets resampled from `real` and `fake`, `(n, d)` each.

    A draw of one image alone is left out, so there may be a few less than asked for.

    Args:
        real: vectors of the reference.
        fake: vectors of what is scored; as many.
        resamples: how many draws.
        degree: of the kernel (xᵀy/d + coef)^degree.
        coef: see there.
        seed: of the draws; equal seeds at equal n draw equally.
    """
    real, fake = real.double(), fake.double()
    n, width = real.shape

    def kernel(a: Tensor, b: Tensor) -> Array:
        values: Array = ((a @ b.T / width + coef) ** degree).numpy()
        return values

    rng = np.random.default_rng(seed)
    of_real, of_fake = (rng.multinomial(n, [1 / n] * n, size=resamples).astype(float) for _ in range(2))

    def within(counts: Array, values: Array) -> Array:
        twins = counts**2
        total = ((counts @ values) * counts).sum(1) - twins @ np.diag(values)
        result: Array = total / (n * n - twins.sum(1))
        return result

    # A set of n times one image has no pair to look at: seldom, and for tiny n only.
    valid = ((of_real > 0).sum(1) > 1) & ((of_fake > 0).sum(1) > 1)
    of_real, of_fake = of_real[valid], of_fake[valid]
    between = ((of_real @ kernel(real, fake)) * of_fake).sum(1) / (n * n)
    draws: Array = within(of_real, kernel(real, real)) + within(of_fake, kernel(fake, fake)) - 2 * between
    return draws


def frechet_draws(real: Tensor, fake: Tensor, *, resamples: int, seed: int) -> Array:
    """Squared Fréchet distances of sets resampled from `real` and `fake`, `(n, d)` each.

    By inner products alone: tr (C₁C₂)^½ is the nuclear norm of X₁X₂ᵀ / (n - 1), X centred, which costs n
    cubed a draw whatever d is.
    """
    real, fake = real.double(), fake.double()
    n = len(real)
    rng = np.random.default_rng(seed)
    grams = real @ real.T, fake @ fake.T, real @ fake.T
    found = []
    for _ in range(resamples):
        i, j = (torch.from_numpy(rng.integers(n, size=n)) for _ in range(2))
        rr, ff, rf = grams[0][i][:, i], grams[1][j][:, j], grams[2][i][:, j]
        means = rr.mean() + ff.mean() - 2 * rf.mean()
        traces = sum(gram.trace() - n * gram.mean() for gram in (rr, ff)) / (n - 1)
        centred = rf - rf.mean(0) - rf.mean(1, keepdim=True) + rf.mean()
        found.append(float(means + traces - 2 * torch.linalg.svdvals(centred).sum() / (n - 1)))
    return np.array(found)
