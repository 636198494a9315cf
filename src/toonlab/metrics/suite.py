"""All scores of one evaluation from one pass: each image meets the feature network once.

The suite is a plain object, no `nn.Module` and no `Metric`: whoever holds it, nothing of it gets into a
checkpoint. It scores what one process adds and talks to no other, so that rank 0 can evaluate alone.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from toonlab import keyed
from toonlab.errors import UsageError, did_you_mean
from toonlab.metrics.content import ContentDistance
from toonlab.metrics.distances import (
    KernelMMD,
    NearestNeighbourAccuracy,
    frechet_distance,
    kernel_distance,
)
from toonlab.metrics.features import Extractor
from toonlab.metrics.intervals import around, frechet_draws, kernel_draws
from toonlab.metrics.paired_table import bootstrap
from toonlab.metrics.report import Direction, Report, Score

LOGGER = logging.getLogger(__name__)
LEAST = 4  # images a set; KID then has subsets of 2, the fewest that have a variance


class MetricSuite:
    """Collects images, what they were painted as, and images of the target domain; computes a `Report`."""

    def __init__(
        self,
        *,
        features: Extractor,
        content: ContentDistance,
        monitor: str,
        kid_subsets: int,
        kid_subset_size: int,
        kid_degree: int,
        kid_coef: float,
        mmd_sigma: float,
        nn1_permutations: int,
        seed: int = 0,
    ) -> None:
        """Name the scores.

        Args:
            features: gives the vectors between whose sets distances are taken.
            content: compares each image with its painted version.
            monitor: the score by which the best checkpoint is picked.
            kid_subsets: draws over which KID is averaged.
            kid_subset_size: vectors a draw at most; never more than half of n.
            kid_degree: of KID's polynomial kernel.
            kid_coef: the constant in KID's kernel.
            mmd_sigma: kernel width in units of the reference's mean squared distance.
            nn1_permutations: label permutations behind the 1-NN p-value.
            seed: of the draws; equal seeds make scores comparable.

        Raises:
            UsageError: `monitor` is no score with a direction.
        """
        self.features, self.content, self.monitor, self.seed = features, content, monitor, seed
        self.kid_subsets, self.kid_subset_size = kid_subsets, kid_subset_size
        self.kid_degree, self.kid_coef = kid_degree, kid_coef
        self.mmd_sigma, self.nn1_permutations = mmd_sigma, nn1_permutations

        own = f"_{features.name}"
        fid = "" if features.canonical else own  # only Inception's scores may be called fid and kid
        self.between_sets: dict[str, Direction] = {
            f"kid{fid}": "lower",
            f"kid_std{fid}": "none",
            "fid" if features.canonical else f"fd{own}": "lower",
            f"mmd{own}": "lower",
            f"mmd2_biased{own}": "lower",
            f"mmd2_unbiased{own}": "lower",
            f"nn1{own}": "toward 1/2",
            f"nn1_real{own}": "toward 1/2",
            f"nn1_fake{own}": "toward 1/2",
            f"nn1_p{own}": "none",
        }
        self.between_pairs: dict[str, Direction] = {f"content_{content.name}": "lower", "edge_f1": "higher"}
        ordered = {**self.between_sets, **self.between_pairs}
        eligible = [name for name, better in ordered.items() if better == "lower"]
        if monitor not in eligible:
            raise UsageError(
                f"metrics.monitor={monitor} is no score to pick a checkpoint by"
                f"{did_you_mean(monitor, eligible)}; these are: {', '.join(eligible)}"
            )
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._painted: list[Tensor] = []
        self._sources: list[Tensor] = []
        self._targets: list[Tensor] = []
        self.content.reset()

    def add_painted(self, painted: Tensor, source: Tensor) -> None:
        """Add images and what the network made of them, `(B, 3, H, W)` in [-1, 1], in equal order.

        Values outside are clipped, as in a saved file.

        Raises:
            UsageError: a painted image holds NaN or infinity.
        """
        if not painted.isfinite().all():
            raise UsageError(
                "a painted image holds NaN or infinity: the generator diverged; lower method.lr, "
                "or evaluate an earlier checkpoint"
            )
        self._painted.append(self.features(painted).cpu())
        self._sources.append(self.features(source).cpu())
        self.content.update(painted, source)

    def add_targets(self, targets: Tensor) -> None:
        """Add images of the target domain, `(B, 3, H, W)` in [-1, 1]."""
        self._targets.append(self.features(targets).cpu())

    def lacks(self, sources: int, targets: int) -> str | None:
        """Say in one line why so many images to paint and of the target domain cannot be scored, if so."""
        if sources >= LEAST and targets >= 2 * LEAST:
            return None
        rare = "to paint" if sources < LEAST else "of the target domain"
        return (
            f"scoring needs at least {LEAST} images to paint and {2 * LEAST} of the target domain, "
            f"found {sources} and {targets}; add images {rare} to the scored split, or make it "
            "larger: data.val_fraction=0.3 data.test_fraction=0.3"
        )

    def compute(self, *, resamples: int = 0) -> Report:
        """Score all images added since `reset`.

        Distances are between sets of equal size n = min(sources, targets // 2): half of the targets is the
        reference; the other half, drawn at random by `seed`, shows what two samples of one domain score.

        Args:
            resamples: bootstrap draws behind each interval; 0 leaves the intervals out.

        Raises:
            UsageError: n is below 4.
        """
        width = self.features.num_features
        painted, sources, targets = (
            torch.cat([torch.empty(0, width), *parts])
            for parts in (self._painted, self._sources, self._targets)
        )
        n = min(len(sources), len(targets) // 2)
        if reason := self.lacks(len(sources), len(targets)):
            raise UsageError(reason)
        # Drawn, not alternating: neighbours in a folder are alike (panels of a page, frames of a film), and
        # halves made of such twins would look closer than two samples are.
        order = keyed.permutation(len(targets), self.seed, "halves")
        chosen = keyed.permutation(len(sources), self.seed, "photos")[:n]
        reference, held_out = targets[order[:n]], targets[order[n : 2 * n]]
        subset_size = min(self.kid_subset_size, n // 2)
        LOGGER.info("scores at n = %d; KID from %d subsets of %d", n, self.kid_subsets, subset_size)

        value = self._between(reference, painted[chosen], subset_size)
        real_vs_real = self._between(reference, held_out, subset_size)
        source_as_is = self._between(reference, sources[chosen], subset_size)
        scores = {
            name: Score(
                value=value[name],
                real_vs_real=real_vs_real[name],
                source_as_is=source_as_is[name],
                unrelated=None,
                n=n,
                better=better,
            )
            for name, better in self.between_sets.items()
        }
        protocol = {
            "images": {"n": n, "sources": len(sources), "targets": len(targets)},
            "features": self.features.protocol,
            "content": self.content.protocol,
            "kid": {
                "subsets": self.kid_subsets,
                "subset_size": subset_size,
                "degree": self.kid_degree,
                "coef": self.kid_coef,
            },
            "mmd": {"sigma": self.mmd_sigma},
            "nn1": {"permutations": self.nn1_permutations},
            "seed": self.seed,
        }
        scores |= self._content_scores()
        intervals = self._intervals(scores, reference, painted[chosen], resamples) if resamples else {}
        return Report(scores=scores, protocol=protocol, intervals=intervals)

    def _intervals(
        self, scores: dict[str, Score], real: Tensor, fake: Tensor, resamples: int
    ) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals over images of KID, of the Fréchet distance and of both content scores."""
        seed = keyed.seed_of(self.seed, "bootstrap")
        kid, _, frechet = list(self.between_sets)[:3]
        draws = {
            kid: kernel_draws(
                real, fake, resamples=resamples, degree=self.kid_degree, coef=self.kid_coef, seed=seed
            ),
            # A draw costs n cubed here; a fifth of them places a quantile well enough.
            frechet: frechet_draws(real, fake, resamples=max(resamples // 5, 1), seed=seed),
        }
        pairs = torch.cat(self.content.pairs).numpy()
        return {name: around(scores[name].value, found) for name, found in draws.items()} | {
            name: bootstrap(pairs[:, i], resamples=resamples) for i, name in enumerate(self.between_pairs)
        }

    def _between(self, real: Tensor, fake: Tensor, subset_size: int) -> dict[str, float]:
        """Return every distance between two sets, under the names and in the order of `between_sets`."""
        kid, kid_std = kernel_distance(
            real,
            fake,
            subsets=self.kid_subsets,
            subset_size=subset_size,
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
        return dict(zip(self.between_sets, values, strict=True))

    def _content_scores(self) -> dict[str, Score]:
        """Average over all images, not only n: a mean over pairs has no bias in n."""
        pairs, unrelated = torch.cat(self.content.pairs), torch.cat(self.content.unrelated)
        as_is = (0.0, 1.0)  # an image with itself, by definition
        return {
            name: Score(
                value=float(pairs[:, i].mean()),
                real_vs_real=None,
                source_as_is=as_is[i],
                unrelated=float(unrelated[:, i].mean()),
                n=len(pairs),
                better=better,
            )
            for i, (name, better) in enumerate(self.between_pairs.items())
        }
