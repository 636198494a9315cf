"""`search.png`: every trial's value, what each varied value did, and how much it mattered."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toonlab.search.result import best_of
from toonlab.search.scores import Metric
from toonlab.search.space import brief
from toonlab.search.trials import TWIN, Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

NAME = "search.png"
BLUE, ORANGE, GREY, RED = "#3b6fb6", "#d9822b", "#9aa3ad", "#b3392f"
COLUMNS = 3
FEWEST = 4
"""Finished trials from which an importance says anything."""


def draw(trials: Trials, metric: Metric, folder: Path) -> Path | None:
    """Draw the trials so far into a sweep's folder; None if there is nothing to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = [trial for trial in trials.all() if TWIN not in trial.user_attrs]
    valued = [trial for trial in found if trial.value is not None]
    if not valued:
        return None
    keys = list(trials.distributions)
    rows = 1 + math.ceil(len(keys) / COLUMNS)
    figure = Figure(figsize=(12, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, COLUMNS)
    scale = _scale([float(trial.value or 0) for trial in valued])
    _history(figure.add_subplot(grid[0, :2]), found, metric, scale)
    _importance(figure.add_subplot(grid[0, 2]), trials)
    first = None
    for i, key in enumerate(keys):
        axes = figure.add_subplot(grid[1 + i // COLUMNS, i % COLUMNS], sharey=first)
        first = first or axes
        _slice(axes, key, trials.distributions[key], valued, metric, scale)
    path = folder / NAME
    part = folder / f".{NAME}.part"
    figure.savefig(part, dpi=110, format="png")
    part.replace(path)
    return path


def _history(axes: Axes, found: Sequence[FrozenTrial], metric: Metric, scale: str) -> None:
    """Draw values in the order of the trials, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    complete = [t for t in found if t.state.name == "COMPLETE"]
    pruned = [t for t in found if t.state.name == "PRUNED" and t.value is not None]
    failed = [t for t in found if t.state.name == "FAIL"]
    axes.scatter(*_points(complete), s=26, color=BLUE, label="finished", zorder=3)
    if pruned:
        axes.scatter(*_points(pruned), s=26, color=GREY, marker="x", label="pruned (last score)", zorder=2)
    so_far, steps = math.inf, []
    for trial in complete:
        so_far = min(so_far, metric.sign * float(trial.value or 0))
        steps.append((trial.number, metric.sign * so_far))
    if steps:
        steps.append((max(t.number for t in found), steps[-1][1]))
        axes.step(*zip(*steps, strict=True), where="post", color=ORANGE, label="best so far")
    for i, trial in enumerate(failed):
        axes.axvline(trial.number, color=RED, alpha=0.4, lw=1, ls=":", label=None if i else "failed")
    axes.set_yscale(scale)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(axes, "trial", str(metric.name))
    better = "less" if metric.sign > 0 else "more"
    axes.set_title(f"{metric.name} of each trial; {better} is better", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _slice(
    axes: Axes, key: str, distribution: Any, valued: Sequence[FrozenTrial], metric: Metric, scale: str
) -> None:
    """Draw values over one of the things that vary."""
    own = [trial for trial in valued if key in trial.params]
    best = best_of(list(own), metric)
    choices = list(getattr(distribution, "choices", ()))

    def place(trial: FrozenTrial) -> float:
        value = trial.params[key]
        return float(choices.index(value) if choices else value)

    for state, colour, marker in (("PRUNED", GREY, "x"), ("COMPLETE", BLUE, "o")):
        of_state = [trial for trial in own if trial.state.name == state]
        values = [float(trial.value or 0) for trial in of_state]
        axes.scatter([place(trial) for trial in of_state], values, s=22, color=colour, marker=marker)
    if best:
        told = f"{key.rpartition('.')[2]} = {brief(best.params[key])}"
        axes.scatter(
            [place(best)], [float(best.value or 0)], s=80, color=ORANGE, marker="*", zorder=4, label=told
        )
        axes.legend(fontsize=8, frameon=False, loc="best")
    axes.set_yscale(scale)
    if choices:
        axes.set_xticks(range(len(choices)), [str(choice) for choice in choices], fontsize=8)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    else:
        _whole_range(axes, distribution)
    _dress(axes, key, str(metric.name))


def _whole_range(axes: Axes, distribution: Any) -> None:
    """Show all that might have been chosen, and numbers that do not run into each other."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        axes.set_xscale("log")
        margin = (high / low) ** 0.04
        axes.set_xlim(low / margin, high * margin)
        subs = (1.0,) if high / low > 50 else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        margin = (high - low) * 0.04 or 1.0
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=isinstance(distribution.low, int)))


def _importance(axes: Axes, trials: Trials) -> None:
    """Draw Optuna's importances, where there are trials enough to tell."""
    shares = _importances(trials)
    axes.set_title("importance (share of the spread)", loc="left", fontsize=10)
    if not shares:
        axes.axis("off")
        axes.text(0, 0.9, "too few finished trials to tell", fontsize=9, color=GREY, va="top")
        return
    names = list(shares)[::-1]
    bars = axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.bar_label(bars, [f"{shares[name]:.2f}" for name in names], padding=3, fontsize=8)
    axes.set_xlim(0, 1.15)
    axes.set_yticks(range(len(names)), [name.removeprefix("method.") for name in names])
    _dress(axes, "", "")


def _importances(trials: Trials) -> dict[str, float]:
    from optuna.exceptions import ExperimentalWarning
    from optuna.importance import get_param_importances

    complete = [t for t in trials.all() if t.state.name == "COMPLETE" and TWIN not in t.user_attrs]
    if len(complete) < FEWEST or len({t.value for t in complete}) < 2:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return get_param_importances(trials.study)
    except (ValueError, RuntimeError) as error:  # a value that never varied, for example
        log.warning("search.png: no importances (%s)", error)
        return {}


def _points(found: Sequence[FrozenTrial]) -> tuple[list[int], list[float]]:
    return [trial.number for trial in found], [float(trial.value or 0) for trial in found]


def _scale(values: Sequence[float]) -> str:
    """Return log for positive values over more than two powers of ten."""
    return "log" if min(values) > 0 and max(values) / min(values) > 100 else "linear"


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, color="#e5e8eb", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
