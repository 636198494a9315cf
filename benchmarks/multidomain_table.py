"""The results of multidomain_classification.py as a table and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from multidomain_learning import Result
from PIL import Image

TRUNK = "trunk's own task"
ORDER = (
    TRUNK, "frozen trunk", "norms", "low rank", "parallel", "series", "series, prepared trunk", "separate",
    "from scratch", "joint, parallel",
)  # fmt: skip


def correct(results: Sequence[Result], way: str, domain: str) -> np.ndarray:
    """Return what was right, `(seeds, images)`, of 0 and 1."""
    chosen = sorted((r for r in results if (r.way, r.domain) == (way, domain)), key=lambda r: r.seed)
    return np.array([r.right for r in chosen], float)


@cache
def _shares(n: int, draws: int, seed: tuple[int, ...]) -> np.ndarray:
    """Return how much of each resample is each of `n` things, `(draws, n)`."""
    drawn = np.random.default_rng(seed).integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n) / n


def interval(values: Sequence[np.ndarray], seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Return the mean over domains and its 95 % interval, in per cent.

    Bootstrap over runs and, independently of it, over test images, so that few runs do not pass for none:
    a domain's images are the same in every run.

    Args:
        values: for each domain, `(seeds, images)`.
    """
    means = np.zeros(draws)
    for number, each in enumerate(values):
        runs, images = (_shares(n, draws, (seed, number, axis)) for axis, n in enumerate(each.shape))
        means += ((runs @ each) * images).sum(1) / len(values)
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(np.mean([each.mean() for each in values])), 100 * float(low), 100 * float(high)


def parameters(results: Sequence[Result], way: str) -> float:
    """Return a domain's own parameters over those of a whole network (without heads)."""
    whole = next(r.parameters for r in results if r.way == "separate")
    return float(np.mean([r.parameters for r in results if r.way == way])) / whole


def table(results: Sequence[Result]) -> str:
    """Write Markdown: accuracy in per cent, 95 % intervals, parameters."""
    first = next(r.domain for r in results if r.way == TRUNK)
    others = [name for name in dict.fromkeys(r.domain for r in results) if name != first]
    lines = [
        f"| | {' | '.join(others)} | mean | mean, less the frozen trunk's | own parameters | all networks |",
        "|---" * (len(others) + 5) + "|",
    ]
    frozen = [correct(results, "frozen trunk", name) for name in others]
    for way in ORDER[1:]:
        values = [correct(results, way, name) for name in others]
        cells = ["{:.1f} ({:.1f} to {:.1f})".format(*interval([each])) for each in values]
        cells.append("**{:.1f}** ({:.1f} to {:.1f})".format(*interval(values)))
        gained = interval([ours - theirs for ours, theirs in zip(values, frozen, strict=True)])
        cells.append("" if way == "frozen trunk" else "{:+.1f} ({:+.1f} to {:+.1f})".format(*gained))
        share = parameters(results, way)
        cells += [f"{share:.2%}", f"{_in_all(way, share, len(others)):.2f} x"]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    kept = {
        way: interval([correct(results, way, first)])
        for way in (TRUNK, "series, prepared trunk", "joint, parallel")
    }
    notes = "; ".join("{} {:.1f} ({:.1f} to {:.1f})".format(way, *kept[way]) for way in kept)
    seeds = len({r.seed for r in results})
    return "\n".join(
        [*lines, "", f"{first}, where the trunk comes from: {notes}. {seeds} run{'s' * (seeds > 1)}."]
    )


def _in_all(way: str, share: float, others: int) -> float:
    """Return the parameters of the network(s) for all domains, over one network's."""
    if way in ("separate", "from scratch"):
        return 1 + others
    return 1 + share * (others + (way in ("joint, parallel", "series, prepared trunk")))


def chart(results: Sequence[Result], path: Path) -> None:
    """Draw accuracy against parameters: the mean, and one panel for each domain."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    first = next(r.domain for r in results if r.way == TRUNK)
    others = [name for name in dict.fromkeys(r.domain for r in results) if name != first]
    figure, axes = plt.subplots(1, len(others) + 1, figsize=(3 + 2.4 * len(others), 3.4), dpi=90, sharey=True)
    ways = ORDER[1:][::-1]
    labels = [f"{way} ({parameters(results, way):.1%})" for way in ways]
    for axis, names in zip(axes, [others, *([name] for name in others)], strict=True):
        for row, way in enumerate(ways):
            mean, low, high = interval([correct(results, way, name) for name in names])
            colour = {"frozen trunk": "black", "separate": "black", "parallel": "tab:red"}.get(
                way, "tab:blue"
            )
            axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
            axis.plot(mean, row, "o", color=colour, markersize=5)
            if way in ("frozen trunk", "separate"):
                axis.axvline(mean, color="black", linewidth=0.6, linestyle=":")
        axis.set_title("mean" if len(names) > 1 else names[0], fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(ways)), labels, fontsize=9)
    figure.supxlabel("accuracy, per cent; in brackets a domain's own parameters", fontsize=9)
    figure.tight_layout()
    page = io.BytesIO()
    figure.savefig(page, format="png")
    plt.close(figure)
    Image.open(page).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)
