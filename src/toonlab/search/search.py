"""Supplies a sweep with trials: as soon as there is room, from what all trials so far have shown."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from toonlab.errors import UsageError
from toonlab.search.scores import Metric, Validations
from toonlab.search.space import Space
from toonlab.search.storage import patiently, troubles
from toonlab.search.trials import Trials
from toonlab.sweeps.engine import Orphan, Running
from toonlab.sweeps.manifest import Job, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.trial import FrozenTrial, Trial

log = logging.getLogger(__name__)

REPETITIONS = 10
"""Trials in a row that only repeat others, before one is chosen that does not."""

MOST = 10_000
"""Combinations of values that are looked through for one that is left."""

Compose = Callable[[Sequence[str], int], tuple[Job, dict[str, Any]]]
"""From overrides and a number to a job and its resolved config."""


class _Followed(NamedTuple):
    """A job at work, what it writes, and which of that the study knows."""

    trial: Trial
    validations: Validations
    waiting: list[dict[str, Any]]
    told: set[int]


class Search:
    """A `Supply` of trials.

    Args:
        manifest: of the sweep; trials become its jobs.
        trials: of the study.
        space: what is varied.
        metric: what is looked at.
        compose: makes a job of a trial.
        n_trials: how many runs there shall be, on all hosts and over all resumes.
        give_up: end the search if so many have failed and none has not.
    """

    def __init__(
        self,
        manifest: Manifest,
        trials: Trials,
        *,
        space: Space,
        metric: Metric,
        compose: Compose,
        n_trials: int,
        give_up: int,
    ) -> None:
        self.manifest, self.trials, self.space, self.metric = manifest, trials, space, metric
        self.compose, self.n_trials, self.give_up = compose, n_trials, give_up
        self.refused: UsageError | None = None
        self._complete = False
        self._followed: dict[str, _Followed] = {}
        self._pruning: dict[str, str] = {}
        self._silent = False
        self._find_out()

    def next(self) -> Job | None:
        if self.refused or self._complete or self._hopeless():
            return None
        try:
            job = patiently(self._next, of=troubles())
        except troubles() as error:
            self.refused = self._gone(error)
            return None
        self._complete = job is None
        return job

    def watch(self, running: Sequence[Running]) -> None:
        with self._storage_may_fail():
            for each in running:
                self._look_at(each)
        if self.refused:
            for each in running:
                if each.job.id not in self._pruning:
                    self._pruning[each.job.id] = ""  # said to stop, once
                    each.stop(at_once=False)

    def ended(self, job: Job) -> None:
        if job.state == "interrupted" and self._pruning.get(job.id):
            job.state, job.reason = "pruned", self._pruning[job.id]
        if job.state == "finished":
            self.metric.learn_from_result(self.manifest.job_folder(job))
        with self._storage_may_fail():
            self._settle(job)

    def settle(self) -> None:
        """Tell the study of all that has ended, in case it did not answer then.

        Raises:
            UsageError: it still does not.
        """
        try:
            for job in self.manifest.jobs:
                self._settle(job)
        except troubles() as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> UsageError:
        return UsageError(
            f"hydra.sweeper.storage: no answer ({_first_line(error)}); all runs are there: go on with "
            f"python src/train.py -m resume={self.manifest.folder}"
        )

    def _find_out(self) -> None:
        """Bring what the manifest and the study say of earlier jobs together: one may be a kill behind."""
        for job in self.manifest.jobs:
            trial = self.trials.of(job.number)
            if trial is None:
                raise UsageError(
                    f"hydra.sweeper.storage: the study there knows nothing of job #{job.number}; give the "
                    "storage and the study that this search was begun with"
                )
            if trial.state.name == "PRUNED":
                job.state = "pruned"
            if job.state == "finished":
                self.metric.learn_from_result(self.manifest.job_folder(job))
        self.settle()

    def _next(self) -> Job | None:
        for attempt in range(REPETITIONS + MOST):
            number = len(self.manifest.jobs)
            trial = self._begun(number, attempt)
            if trial is None:
                return None
            job, plan = self.compose(self.space.words(trial.params), number)
            job.swept = self.space.shown(trial.params)
            twin = self.trials.same(job.id, but=trial.number)
            if twin is None:
                self.trials.describe(trial, job.id, self.manifest.job_folder(job))
                self.manifest.plans[job.id] = plan
                self.manifest.jobs.append(job)
                with suppress(OSError):  # a full disk; the scheduler writes, and warns, at the next change
                    self.manifest.save()
                return job
            self.trials.repeat(trial, twin)
            # What follows the first few is not the sampler's: it would choose the best one for ever.
        return None

    def _begun(self, number: int, attempt: int) -> Trial | None:
        """Return a trial for the next job; None: there are enough."""
        unborn = self.trials.unborn(number)
        if unborn:
            return self.trials.alive(unborn)
        if self.trials.count() >= self.n_trials:
            return None
        params = None
        total = self.space.combinations()
        if total is not None and total <= MOST:
            left = self._left()
            if not left:
                log.info("All %d combinations of values have been tried.", total)
                return None
            if attempt >= REPETITIONS:
                params = random.Random(number).choice(left)  # noqa: S311 (no secret)
        elif attempt >= REPETITIONS:
            return None
        trial = self.trials.begin(number, params)
        if self.trials.is_surplus(trial, self.n_trials):
            self.trials.drop(trial)
            return None
        return trial

    def _left(self) -> list[dict[str, Any]]:
        """Return the combinations that nobody has tried."""
        tried = {_hashable(trial.params) for trial in self.trials.all()}
        return [params for params in self.space.grid() if _hashable(params) not in tried]

    def _look_at(self, each: Running) -> None:
        """Report what a run has scored since, and stop it if that is hopeless."""
        job = each.job
        followed = self._follow(job)
        lines = followed.waiting
        for line in followed.validations.new():
            lines.append(line)
            self._learn(job, line)
        name = self.metric.name
        while lines and name and not self.refused:
            iteration, score = int(lines[0]["iteration"]), lines[0].get(name)
            if score is not None and iteration not in followed.told:
                followed.trial.report(float(score), iteration)
                followed.told.add(iteration)
                hears = not isinstance(each, Orphan)
                if hears and iteration < job.iterations and job.id not in self._pruning:
                    self._prune(each, followed.trial, f"{name} was {score:.4g} at iteration {iteration}")
            lines.pop(0)  # not before the study knows it

    def _learn(self, job: Job, line: dict[str, Any]) -> None:
        try:
            self.metric.learn(self.manifest.plans[job.id], line)
        except UsageError as error:
            self.refused = self.refused or error

    def _prune(self, each: Running, trial: Trial, why: str) -> None:
        if trial.should_prune():
            self._pruning[each.job.id] = why
            each.stop(at_once=False)

    def _follow(self, job: Job) -> _Followed:
        if job.id not in self._followed:
            trial = self._open(job)
            told = set(self.trials.reported(trial))
            self._followed[job.id] = _Followed(trial, Validations(self.manifest.job_folder(job)), [], told)
        return self._followed[job.id]

    def _open(self, job: Job) -> Trial:
        """Return the trial of a job: the one it has, or after a failure another one like it."""
        last = self.trials.of(job.number)
        assert last is not None  # noqa: S101 (each job was a trial first)
        if not last.state.is_finished():
            return self.trials.alive(last)
        trial = self.trials.begin(job.number, last.params)
        self.trials.describe(trial, job.id, self.manifest.job_folder(job))
        return trial

    def _settle(self, job: Job) -> None:
        """Tell the study how a job ended, unless it knows."""
        if job.state not in ("finished", "pruned", "failed"):
            return
        last = self.trials.of(job.number)
        if last is not None and last.state.is_finished() and not self._goes_beyond(job, last):
            return
        trial = self._open(job)
        self._followed.pop(job.id, None)
        self._pruning.pop(job.id, None)
        if job.state == "finished":
            chosen = self._chosen(job)
            if chosen is None:
                job.reason = f"no {self.metric.name or 'validation'} in its metrics.jsonl: a failed trial"
                self.trials.tell(trial, "FAIL")
            else:
                self.trials.tell(trial, "COMPLETE", chosen[1])
        else:
            self.trials.tell(trial, "PRUNED" if job.state == "pruned" else "FAIL")

    def _goes_beyond(self, job: Job, last: FrozenTrial) -> bool:
        """Whether a job that was told as failed has come to something since."""
        if last.state.name != "FAIL" or job.state == "failed":
            return False
        return job.state == "pruned" or self._chosen(job) is not None

    def _chosen(self, job: Job) -> tuple[int, float] | None:
        return self.metric.chosen(self.metric.scores(self.manifest.job_folder(job)))

    def _hopeless(self) -> bool:
        """Whether so many have failed that others would."""
        states = [job.state for job in self.manifest.jobs]
        if not self.give_up or states.count("failed") < self.give_up or set(states) & {"finished", "pruned"}:
            return False
        if {"running", "queued"} & set(states):  # one of these may still show that it can be done
            return True
        why = next(job.reason for job in self.manifest.jobs if job.state == "failed")
        self.refused = UsageError(
            f"the first {states.count('failed')} trials all failed ({why}); mend that, or raise "
            "hydra.sweeper.give_up"
        )
        return True

    @contextmanager
    def _storage_may_fail(self) -> Iterator[None]:
        """Let the runs go on while the study does not answer; what it missed it is told later."""
        try:
            yield
        except troubles() as error:
            if not self._silent:
                log.warning("hydra.sweeper.storage: no answer (%s); the runs go on", _first_line(error))
            self._silent = True
        else:
            self._silent = False


def _hashable(params: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    # A stepped float comes back with another last bit.
    rounded = {key: float(f"{v:.9g}") if isinstance(v, float) else v for key, v in params.items()}
    return tuple(sorted(rounded.items()))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
