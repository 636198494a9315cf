"""The tables of `adapter_styles.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapter_models import Model

from toonlab.engine.checkpoint import load_generator


def parameters(group: Sequence[Model]) -> tuple[int, int, int]:
    """Return a style's own parameters (their mean), those of the row, and those of a plain generator."""
    if group[0].checkpoint:
        plain = sum(p.numel() for p in load_generator(group[0].checkpoint).generator.parameters())
        return 0, plain, plain
    results = [json.loads((model.folder / "result.json").read_text()) for model in group]
    if "domains" not in results[0]:
        each = results[0]["generator_parameters"]
        return each, each * len(group), each
    own = [
        facts["parameters"]
        for model, result in zip(group, results, strict=True)
        for name, facts in result["domains"].items()
        if name in model.styles
    ]
    # A trunk has no norms of its own: what a style's are is taken from it.
    trunk = results[0]["generator_parameters"] - sum(d["parameters"] for d in results[0]["domains"].values())
    return round(sum(own) / len(own)), trunk + sum(own), results[0]["trunk_parameters"]


def table(
    found: Sequence[Model], scores: dict[Path, dict[str, dict[str, Any]]], styles: Sequence[str]
) -> str:
    """Write Markdown: KID and FD of each style, beside what cartoons and unpainted photos score.

    KID's ± is the deviation over its random subsets of the images, one training of each.
    """
    names = [
        name for name in scores[found[0].folder][styles[0]]["scores"] if name.startswith(("kid", "fd", "fid"))
    ]
    names = [name for name in names if "std" not in name]
    lines = []
    for name in names:
        references = {
            style: scores[model.folder][style]["scores"][name] for model in found for style in model.styles
        }
        heads = [f"{style} (n = {references[style]['n']})" for style in styles]
        lines += [
            f"\n**{name}**, lower is better\n",
            f"| | updates | {' | '.join(heads)} | mean | a style's own parameters | all generators |",
            "|---" * (len(styles) + 5) + "|",
        ]
        for title, key in (("cartoons against cartoons", "real_vs_real"), ("photo as it is", "source_as_is")):
            values = [references[style][key] for style in styles]
            lines.append(_row(title, "", values, "", ""))
        for row in dict.fromkeys(model.row for model in found):
            group = [model for model in found if model.row == row]
            told = [scores[m.folder][style]["scores"] for style in styles for m in group if style in m.styles]
            values = [each[name]["value"] for each in told]
            spread = name.replace("kid_", "kid_std_")
            spreads = [each[spread]["value"] for each in told] if spread != name else []
            own, whole, plain = parameters(group)
            updates = "" if group[0].checkpoint else " + ".join(f"{model.iterations:,}" for model in group)
            lines.append(
                _row(
                    *(row, updates, values, f"{own:,} ({own / plain:.2%})"),
                    f"{whole:,} ({whole / plain:.2f} x)",
                    spreads=spreads,
                )
            )
    return "\n".join(lines)


def _row(title: str, updates: str, values: Sequence[float], *rest: str, spreads: Sequence[float] = ()) -> str:
    cells = [f"{value:.4g}" for value in (*values, sum(values) / len(values))]
    cells[: len(spreads)] = [f"{cell} ± {spread:.2g}" for cell, spread in zip(cells, spreads, strict=False)]
    return f"| {' | '.join([title, updates, *cells, *rest])} |"
