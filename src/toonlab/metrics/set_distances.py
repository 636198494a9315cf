"""Every distance between two sets of feature vectors: their names, their settings, their values."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from toonlab import keyed
from toonlab.metrics.distances import (
    KernelMMD,
    NearestNeighbourAccuracy,
    frechet_distance,
    kernel_distance,
)
from toonlab.metrics.report import Direction


class SetDistances:
    """Fréchet distance, KID, kernel MMD and 1-NN accuracy of two sets of equal size.

    Args:
        features: the name of what gives the vectors; part of the scores' names.
        canonical: whether scores by these features may be called fid and kid.
        kid_subsets: draws over which KID is averaged.
        kid_subset_size: vectors a draw at most; never more than half of n.
        kid_degree: of KID's polynomial kernel.
        kid_coef: the constant in KID's kernel.
        mmd_sigma: kernel width in units of the reference's mean squared distance.
        nn1_permutations: label permutations behind the 1-NN p-value.
        seed: of the draws.
    """

    def __init__(
        self,
        *,
        features: str,
        canonical: bool,
        kid_subsets: int,
        kid_subset_size: int,
        kid_degree: int,
        kid_coef: float,
        mmd_sigma: float,
        nn1_permutations: int,
        seed: int,
    ) -> None:
        self.kid_subsets, self.kid_subset_size = kid_subsets, kid_subset_size
        self.kid_degree, self.kid_coef = kid_degree, kid_coef
        self.mmd_sigma, self.nn1_permutations, self.seed = mmd_sigma, nn1_permutations, seed
        own = f"_{features}"
        fid = "" if canonical else own
        self.directions: dict[str, Direction] = {
            f"kid{fid}": "lower",
            f"kid_std{fid}": "none",
            "fid" if canonical else f"fd{own}": "lower",
            f"mmd{own}": "lower",
            f"mmd2_biased{own}": "lower",
            f"mmd2_unbiased{own}": "lower",
            f"nn1{own}": "toward 1/2",
            f"nn1_real{own}": "toward 1/2",
            f"nn1_fake{own}": "toward 1/2",
            f"nn1_p{own}": "none",
        }

    def compute(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Return every distance of `(n, F)` to `(n, F)`, under the names and in the order of `directions`."""
        kid, kid_std = kernel_distance(
            real,
            fake,
            subsets=self.kid_subsets,
            subset_size=self.subset_size(len(real)),
            degree=self.kid_degree,
            coef=self.kid_coef,
            seed=keyed.seed_of(self.seed, "kid"),
        )
        mmd = KernelMMD(sigma=self.mmd_sigma, sync_on_compute=False)
        nn1 = NearestNeighbourAccuracy(
            permutations=self.nn1_permutations, seed=self.seed, sync_on_compute=False
        )
        for metric in (mmd, nn1):
            metric.update(real, real=True)
            metric.update(fake, real=False)
        kernel, neighbours = mmd.compute(), nn1.compute()
        values = (
            kid,
            kid_std,
            frechet_distance(real, fake),
            *(float(kernel[key]) for key in ("mmd", "mmd2_biased", "mmd2_unbiased")),
            *(float(neighbours[key]) for key in ("accuracy", "acc_real", "acc_fake", "p_value")),
        )
        return dict(zip(self.directions, values, strict=True))

    def protocol(self, n: int) -> dict[str, Any]:
        """Return the settings behind the values of two sets of `n`."""
        return {
            "kid": {
                "subsets": self.kid_subsets,
                "subset_size": self.subset_size(n),
                "degree": self.kid_degree,
                "coef": self.kid_coef,
            },
            "mmd": {"sigma": self.mmd_sigma},
            "nn1": {"permutations": self.nn1_permutations},
        }

    def subset_size(self, n: int) -> int:
        """Return the vectors of each of KID's draws from sets of `n`."""
        return min(self.kid_subset_size, n // 2)
