"""A search among pretended trainings: everything but Hydra, torch and a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from toonlab.search.scores import Metric
from toonlab.search.search import Search
from toonlab.search.space import Space
from toonlab.search.storage import opened
from toonlab.search.trials import Trials
from toonlab.sweeps import sweep
from toonlab.sweeps.local import Local
from toonlab.sweeps.manifest import Job, Manifest, identity, load

SCRIPT = Path(__file__).parent / "sweeps" / "pretend_train.py"

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Given(optuna.samplers.BaseSampler):
    """Proposes what it is told to, and begins again at the end."""

    def __init__(self, **values: Sequence[Any]) -> None:
        self.values, self.asked = values, dict.fromkeys(values, 0)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        own = self.values[param_name]
        self.asked[param_name] += 1
        return own[(self.asked[param_name] - 1) % len(own)]


def composed(words: Sequence[str], number: int) -> tuple[Job, dict[str, Any]]:
    """What `toonlab.app.jobs` does with Hydra."""
    plan = dict(word.partition("=")[::2] for word in words)
    return Job(identity(plan), number, list(words), [], f"{number}_x", int(plan["iterations"]), 1), plan


def search(
    folder: Path,
    *,
    n_trials: int,
    distributions: dict[str, BaseDistribution] | None = None,
    words: Sequence[str] = (),
    metric: Metric | None = None,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    storage: str | None = None,
    study: str = "study",
    give_up: int = 5,
    devices: Sequence[str] = ("a", "b"),
    compose: Callable[[Sequence[str], int], tuple[Job, dict[str, Any]]] = composed,
) -> Search:
    """Search as `OptunaSweeper` does, in `folder`; go on if it holds a sweep."""
    space = Space(
        fixed=["seed=1", "iterations=20", *words],
        heads={key: key for key in distributions or {"lr": 0}},
        distributions=distributions or {"lr": FloatDistribution(0.0, 10.0)},
    )
    metric = metric or Metric("val/kid", 1, "best")
    resume = (folder / "sweep.json").exists()
    kept = [compose(job.overrides, job.number) for job in load(folder).jobs] if resume else []
    begun: list[Search] = []

    def supply(manifest: Manifest) -> Search:
        trials = Trials(
            storage=opened(storage or f"sqlite:///{folder / 'study.db'}"),
            name=study,
            owner=str(folder),
            distributions=space.distributions,
            sampler=sampler or optuna.samplers.TPESampler(seed=0),
            pruner=pruner or optuna.pruners.NopPruner(),
            direction=metric.direction,
            definition={"space": space.definition(), "metric": metric.name},
        )
        found = Search(
            manifest,
            trials,
            space=space,
            metric=metric,
            compose=compose,
            n_trials=n_trials,
            give_up=give_up,
        )
        begun.append(found)
        return found

    try:
        sweep.run(
            folder,
            ["lr=interval(0,10)"],
            [job for job, _ in kept],
            {job.id: plan for job, plan in kept},
            engine=Local(
                list(devices),
                slots=1,
                environment={},
                script=SCRIPT,
                extra=[],
                leases=folder.parent / "leases",
            ),
            stop_on_error=False,
            report=None,
            resume=resume,
            supply=supply,
        )
    finally:
        for each in begun:
            each.settle()
            if each.refused:
                raise each.refused
    return begun[0]


def events(folder: Path) -> list[dict[str, Any]]:
    files = folder.glob("*_x/events.jsonl")
    return [json.loads(line) | {"job": f.parent.name} for f in files for line in f.read_text().splitlines()]
