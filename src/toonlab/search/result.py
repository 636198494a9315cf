"""What a search has found: the best trial, in words and in `best.yaml`."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toonlab.search.scores import Metric
from toonlab.search.space import Space, brief
from toonlab.search.trials import RUN, TWIN, Trials
from toonlab.sweeps.words import key_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

BEST = "best.yaml"

WORDS = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "not finished"}
"""Of Optuna's states."""


def best_of(found: list[FrozenTrial], metric: Metric) -> FrozenTrial | None:
    """Return the trial with the best value; None if none has finished."""
    complete = [trial for trial in found if trial.state.name == "COMPLETE"]
    return min(complete, key=lambda trial: metric.sign * float(trial.value or 0), default=None)


def conclude(trials: Trials, space: Space, metric: Metric, folder: Path) -> str:
    """Write `best.yaml` and return what there is to say."""
    found = trials.all()
    runs = [trial for trial in found if TWIN not in trial.user_attrs]
    counts = Counter(WORDS[trial.state.name] for trial in runs)
    repeated = len(found) - len(runs)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    more = f"; {repeated} more only repeated a config" if repeated else ""
    best = best_of(runs, metric)
    if best is None:
        return f"No trial has finished ({told or 'none begun'})."
    words = [word for word in space.words(best.params) if key_of(word) not in ("search", "sweep")]
    run = Path(str(best.user_attrs.get(RUN, "")))
    at = metric.chosen(metric.scores(run))
    whole: dict[str, Any] = {
        "trial": best.number,
        "metric": metric.name,
        "value": best.value,
        "iteration": at[0] if at else None,
        "run": str(run),
        "params": dict(best.params),
        "overrides": words,
    }
    part = folder / f".{BEST}.part"
    part.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    part.replace(folder / BEST)
    values = "".join(f"\n  {key} = {brief(value)}" for key, value in best.params.items())
    return (
        f"Best of {len(runs)} trials ({told}{more}): #{best.number} with {metric.name} = {best.value:.4g}"
        f"{f' at iteration {at[0]}' if at else ''}{values}\n  {run}\n"
        f"Train it longer, or anew from its values ({folder / BEST}), with:\n"
        f"  python src/train.py resume={run} iterations=…\n"
        f"  python src/train.py {shlex.join(words)}"
    )
