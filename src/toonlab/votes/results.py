"""Everything a vote says, gathered once for the page, the Markdown and the CSV."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from statistics import median
from typing import NamedTuple

from toonlab.metrics.paired_table import wilson
from toonlab.votes.agreement import Item, both_ways, fleiss, krippendorff
from toonlab.votes.correlation import LEAST, Agreement, agreement
from toonlab.votes.manifest import Manifest
from toonlab.votes.shares import EqualShares, equal_shares, no_preference
from toonlab.votes.store import Cast
from toonlab.votes.strengths import Array, Choice, chances_of_best, intervals, strength_draws, strengths

FEW = 6
"""Models below which a rank correlation can hardly be told from chance."""


class Metric(NamedTuple):
    """A score of the models, None where it is not known."""

    name: str
    better: str
    values: Sequence[float | None]


class Standing(NamedTuple):
    """What the votes say of one model."""

    model: int
    wins: int
    shown: int
    share: tuple[float, float]  # Wilson's interval of wins out of shown
    strength: float
    interval: tuple[float, float] | None
    best: float | None  # chance to be the strongest, over resampled photos


@dataclasses.dataclass(frozen=True)
class Results:
    """A vote's votes, and what is known of its models besides."""

    manifest: Manifest
    cast: Sequence[Cast]
    progress: Sequence[tuple[str, int, int]] = ()
    metrics: Sequence[Metric] = ()
    resamples: int = 1000
    changes: int = 0

    @cached_property
    def raters(self) -> list[str]:
        """Who has voted."""
        return list(dict.fromkeys(vote.rater for vote in self.cast))

    @cached_property
    def ballots(self) -> dict[str, Counter[int]]:
        """Each rater's picks, by model."""
        counted: dict[str, Counter[int]] = {rater: Counter() for rater in self.raters}
        for vote in self.cast:
            counted[vote.rater][vote.picked] += 1
        return counted

    @cached_property
    def choices(self) -> list[Choice]:
        """The votes, as the models of choice want them."""
        return [Choice(vote.photo, vote.shown, vote.picked) for vote in self.cast]

    @cached_property
    def wins(self) -> list[int]:
        """Votes for each model."""
        counted = Counter(vote.picked for vote in self.cast)
        return [counted[model] for model in range(len(self.manifest.models))]

    @cached_property
    def standings(self) -> list[Standing]:
        """The models, the strongest first."""
        models = len(self.manifest.models)
        shown = Counter(model for vote in self.cast for model in vote.shown)
        fitted = strengths(self.choices, models)
        draws = self._draws
        spans = intervals(draws) if draws is not None else [None] * models
        best = chances_of_best(draws) if draws is not None else [None] * models
        found = [
            Standing(
                model=model,
                wins=self.wins[model],
                shown=shown[model],
                share=wilson(self.wins[model], shown[model]),
                strength=float(fitted[model]),
                interval=spans[model],
                best=best[model],
            )
            for model in range(models)
        ]
        return sorted(found, key=lambda standing: -standing.strength)

    @cached_property
    def _draws(self) -> Array | None:
        photos = {vote.photo for vote in self.cast}
        if len(photos) < 2 or not self.resamples:
            return None
        return strength_draws(
            self.choices, len(self.manifest.models), resamples=self.resamples, seed=self.manifest.seed
        )

    @cached_property
    def no_preference(self) -> EqualShares | None:
        """The test of all models being liked equally."""
        return no_preference(self.wins, Counter(frozenset(vote.shown) for vote in self.cast))

    @cached_property
    def beaten(self) -> dict[tuple[int, int], int]:
        """In pairs: how often the first was picked over the second."""
        counted: Counter[tuple[int, int]] = Counter()
        for vote in self.cast:
            counted.update((vote.picked, other) for other in vote.shown if other != vote.picked)
        return counted

    @cached_property
    def places(self) -> list[int]:
        """How often each place was picked; without a habit, about equally, for so the models stood."""
        counted = Counter(vote.place for vote in self.cast)
        return [counted[place] for place in range(len(self.cast[0].shown))]

    @cached_property
    def place_bias(self) -> EqualShares | None:
        """The test of all places being picked equally."""
        return equal_shares(self.places)

    @cached_property
    def stood(self) -> list[list[int]]:
        """How often each model stood at each place: `[model][place]`."""
        counted = Counter((model, place) for vote in self.cast for place, model in enumerate(vote.shown))
        places = range(len(self.cast[0].shown))
        return [[counted[model, place] for place in places] for model in range(len(self.manifest.models))]

    @cached_property
    def items(self) -> list[dict[str, int]]:
        """What each rater said of each question, by rater: the model, or in pairs which of the two."""
        asked: dict[tuple[int, frozenset[int]], dict[str, int]] = {}
        for vote in self.cast:
            said = vote.picked if self.manifest.mode == "pick" else int(vote.picked == max(vote.shown))
            asked.setdefault((vote.photo, frozenset(vote.shown)), {})[vote.rater] = said
        return list(asked.values())

    @cached_property
    def shared_by_all(self) -> int:
        """Questions that every rater has answered."""
        return sum(len(item) == len(self.raters) for item in self.items)

    @cached_property
    def same(self) -> float | None:
        """How often two raters say the same of a question that both have answered."""
        pairs = [one == two for item in self.items for one, two in combinations(item.values(), 2)]
        return sum(pairs) / len(pairs) if pairs else None

    @cached_property
    def kappa(self) -> float | None:
        """Fleiss' κ."""
        return fleiss(self._judged)

    @cached_property
    def alpha(self) -> float | None:
        """Krippendorff's alpha."""
        return krippendorff(self._judged)

    @property
    def _judged(self) -> Sequence[Item]:
        return self.items if self.manifest.mode == "pick" else both_ways(self.items)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Each rater's median time for an answer."""
        times: dict[str, list[int]] = {}
        for vote in self.cast:
            if vote.milliseconds is not None:
                times.setdefault(vote.rater, []).append(vote.milliseconds)
        return {rater: median(spent) / 1000 for rater, spent in times.items()}

    @cached_property
    def agreements(self) -> list[tuple[Metric, Agreement | None]]:
        """How each metric orders the models, beside how people do; None where they are too few."""
        strength = {standing.model: standing.strength for standing in self.standings}
        found = []
        for metric in self.metrics:
            known = [(strength[i], value) for i, value in enumerate(metric.values) if value is not None]
            votes, scores = [pair[0] for pair in known], [pair[1] for pair in known]
            found.append((metric, agreement(votes, scores, metric.better)))
        return found

    @cached_property
    def by_photo(self) -> list[Counter[int]]:
        """Votes on each photo, by model."""
        counted: list[Counter[int]] = [Counter() for _ in self.manifest.photos]
        for vote in self.cast:
            counted[vote.photo][vote.picked] += 1
        return counted

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before believing any of it."""
        said = []
        if unfinished := [f"{name} ({done} of {of})" for name, done, of in self.progress if done < of]:
            said.append(f"Not finished: {', '.join(unfinished)}.")
        if len(self.raters) == 1:
            said.append("One rater: this is one person's taste, and nothing can be said of agreement.")
        if self.place_bias and self.place_bias.p < 0.01:
            said.append(
                "Some place was picked more often than chance has it. The models stood at all places equally "
                "often, so no model gains by it, but differences are blurred."
            )
        sizes = [result.n for _, result in self.agreements if result]
        if sizes and min(sizes) < FEW:
            said.append(
                f"Rank correlations over {min(sizes)} models prove nothing: "
                "see how often chance alone does as well."
            )
        return said

    @cached_property
    def about_metrics(self) -> str:
        """Why there is no correlation, if so."""
        if not self.metrics:
            return (
                "The models have no scores: src/eval.py, on the same data for each, writes them; "
                "scores=[DIR] names where."
            )
        if all(result is None for _, result in self.agreements):
            return f"Too few models with scores for a rank correlation: {LEAST} are the least."
        return ""
