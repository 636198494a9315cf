"""The trials of a study, and which of them are ours: Optuna's study as a sweep needs it.

A trial is begun with the name of its sweep and the number of its job in one transaction, so whatever is
killed when, each trial is known to somebody who goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toonlab.errors import UsageError
from toonlab.search.storage import patiently, troubles

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

SWEEP, JOB, RUN, CONFIG, TWIN = "sweep", "job", "run", "config", "twin"
"""Attributes of a trial: who began it, the job's number and folder, its config's id; whom it only repeats."""


class Trials:
    """A study in a storage that other hosts may share.

    Args:
        storage: see `storage.opened`.
        name: of the study.
        owner: name of our sweep, unlike that of any other.
        distributions: what is varied.
        sampler: chooses the values.
        pruner: gives up on trials.
        direction: minimize or maximize.
        definition: what makes it this search and no other.

    Raises:
        UsageError: the study was begun as another search.
    """

    def __init__(
        self,
        *,
        storage: BaseStorage,
        name: str,
        owner: str,
        distributions: Mapping[str, BaseDistribution],
        sampler: BaseSampler,
        pruner: BasePruner,
        direction: Literal["minimize", "maximize"],
        definition: Mapping[str, Any],
    ) -> None:
        import optuna

        self.storage, self.name, self.owner, self.distributions = storage, name, owner, distributions
        self.sampler, self.pruner = sampler, pruner
        study = patiently(
            lambda: optuna.create_study(
                storage=storage, study_name=name, load_if_exists=True, direction=direction
            ),
            of=troubles(),
        )
        begun = study.user_attrs.get("definition")
        text = json.dumps(definition, sort_keys=True)
        if begun is None:
            study.set_user_attr("definition", text)
        elif begun != text:
            raise UsageError(
                f"hydra.sweeper.study={name}: begun as another search ({_difference(begun, text)}); name "
                "another study"
            )
        if self.all():
            sampler.reseed_rng()  # else it draws what it drew the first time

    @property
    def study(self) -> Study:
        """The study as it is now: Optuna's own object remembers what others have changed since."""
        import optuna

        return optuna.load_study(
            study_name=self.name, storage=self.storage, sampler=self.sampler, pruner=self.pruner
        )

    def all(self) -> list[FrozenTrial]:
        """Return the trials of all hosts that are runs, in their order."""
        return [t for t in self.study.get_trials(deepcopy=False) if SWEEP in t.user_attrs]

    def count(self) -> int:
        """Return how many different runs there are; what was tried again after a failure counts once."""
        return len(self._runs())

    def of(self, job: int) -> FrozenTrial | None:
        """Return the last trial of a job of ours."""
        own = [t for t in self.all() if _key(t) == (self.owner, job) and TWIN not in t.user_attrs]
        return own[-1] if own else None

    def begin(self, job: int, params: Mapping[str, Any] | None = None) -> Trial:
        """Add a trial and choose its values.

        Args:
            job: number of the job that is to be.
            params: the values, if they are not for the sampler to choose.
        """
        from optuna.trial import TrialState, create_trial

        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(params or {}),
            distributions=dict(self.distributions) if params else {},
            user_attrs={SWEEP: self.owner, JOB: job},
        )
        self.study.add_trial(template)
        added = self.unborn(job)
        assert added is not None  # noqa: S101 (nobody else ends trials of ours)
        return self.alive(added)

    def describe(self, trial: Trial, config: str, run: Path) -> None:
        """Note which config a trial is, and where it runs."""
        trial.set_user_attr(CONFIG, config)
        trial.set_user_attr(RUN, str(run))

    def reported(self, trial: Trial) -> list[int]:
        """Return the iterations at which a trial was scored."""
        return list(trial._cached_frozen_trial.intermediate_values)

    def alive(self, frozen: FrozenTrial) -> Trial:
        """Return a running trial as one to be reported to; what it has no value for is chosen now."""
        from optuna.trial import Trial

        trial = Trial(self.study, frozen._trial_id)
        for key, distribution in self.distributions.items():
            trial._suggest(key, distribution)
        return trial

    def unborn(self, job: int) -> FrozenTrial | None:
        """Return the trial that a killed parent began, without coming to start its job."""
        running = [t for t in self.all() if _key(t) == (self.owner, job) and not t.state.is_finished()]
        return running[-1] if running else None

    def is_surplus(self, trial: Trial, most: int) -> bool:
        """Whether others, who looked at the same moment, began the last trials before us."""
        first = sorted(self._runs().values())
        return trial.number > first[min(most, len(first)) - 1]

    def same(self, config: str, *, but: int) -> FrozenTrial | None:
        """Return another run with a config; rather one that has ended."""
        found = [t for t in self.all() if t.user_attrs.get(CONFIG) == config and t.number != but]
        ended = [t for t in found if t.state.is_finished() and t.values is not None]
        either = ended or found
        return either[-1] if either else None

    def repeat(self, trial: Trial, other: FrozenTrial) -> None:
        """Tell a trial what another one with the same config was told."""
        from optuna.trial import TrialState

        trial.set_user_attr(TWIN, other.number)
        if other.state == TrialState.PRUNED:
            for step, value in other.intermediate_values.items():
                trial.report(value, step)
        known = other.state in (TrialState.COMPLETE, TrialState.PRUNED)
        state = other.state if known else TrialState.FAIL
        self.tell(trial, state.name, other.value if state == TrialState.COMPLETE else None)

    def drop(self, trial: Trial) -> None:
        """Take back a trial that nobody needs."""
        trial.set_user_attr(TWIN, -1)
        self.tell(trial, "FAIL")

    def tell(self, trial: Trial, state: str, value: float | None = None) -> None:
        """End a trial: COMPLETE with its value, PRUNED or FAIL."""
        from optuna.trial import TrialState

        self.study.tell(trial, value, state=TrialState[state])

    def _runs(self) -> dict[tuple[str, int], int]:
        """Return the number of each run's first trial."""
        first: dict[tuple[str, int], int] = {}
        for trial in self.all():
            if TWIN not in trial.user_attrs:
                first.setdefault(_key(trial), trial.number)
        return first


def _key(trial: FrozenTrial) -> tuple[str, int]:
    return str(trial.user_attrs[SWEEP]), int(trial.user_attrs[JOB])


def _difference(old: str, new: str) -> str:
    before, after = _flat(json.loads(old)), _flat(json.loads(new))
    keys: Sequence[str] = sorted({*before, *after})
    changed = [key for key in keys if before.get(key) != after.get(key)]
    return "; ".join(f"{key}: {before.get(key, 'nothing')} -> {after.get(key, 'nothing')}" for key in changed)


def _flat(node: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flat(value) if isinstance(value, dict) else {key: value}
    return found
