"""The report as Markdown and as CSV."""

from __future__ import annotations

import csv
import io

from toonlab.reports.chart import number
from toonlab.reports.cost import duration, mebibytes
from toonlab.reports.scores import Cell
from toonlab.reports.summary import Summary, shown


def written(cell: Cell | None) -> str:
    """Return `value [low, high]`, as much of it as is known."""
    if cell is None:
        return ""
    if cell.interval is None:
        return number(cell.value)
    low, high = cell.interval
    return f"{number(cell.value)} [{number(low)}, {number(high)}]"


def markdown(summary: Summary) -> str:
    """Return the tables of scores, importance and cost."""
    lines = [f"# {summary.title}", "", *(f"> {warning}\n" for warning in summary.warnings)]
    heads = [f"{metric.title} {metric.arrow}".strip() for metric in summary.metrics]
    rows = []
    for i, run in enumerate(summary.runs):
        found = [column[i] for column in summary.columns]
        ranks = [f" (rank {cell.rank})" if cell and cell.rank else "" for cell in found]
        values = [
            written(cell) + rank.replace("(rank not", "(not") for cell, rank in zip(found, ranks, strict=True)
        ]
        swept = [shown(row[i]) for row in summary.told.values()]
        rows.append([run.name, run.state, *swept, *values])
    empty = [""] * (1 + len(summary.told))
    for title, levels in summary.baselines:
        rows.append([f"*{title}*", *empty, *("" if level is None else number(level) for level in levels)])
    lines += _table(["run", "state", *summary.told, *heads], rows)

    if summary.styles:
        lines += ["", "## Styles", ""]
        lines += _table(
            ["run", "style", *heads],
            [[summary.runs[i].name, style, *map(written, found)] for i, style, found in summary.styles],
        )

    if summary.ended_early:
        lines += ["", "## Not finished", ""]
        lines += [
            f"- {run.name}: {run.state} at iteration {run.iterations}. {run.reason}"
            for run in summary.ended_early
        ]
    if summary.not_scored:
        lines += ["", "## Not scored", "", *(f"- {run.name}: {why}" for run, why in summary.not_scored)]

    lines += ["", "## What the swept values explain", ""]
    if summary.about_importance:
        lines += [summary.about_importance, ""]
    shares = [
        [
            metric.title,
            share.key,
            f"{100 * share.share:.0f} %",
            _maybe(share.trend),
            _maybe(share.chance),
            share.how,
        ]
        for metric, found in summary.importance
        for share in found
    ]
    if shares:
        lines += _table(["score", "value", "share", "trend ρ", "by chance", "measure"], shares)

    lines += ["", "## Cost", ""]
    costs = [
        [
            run.name,
            f"{run.iterations:,}",
            duration(cost.seconds),
            "" if cost.images_per_second is None else number(cost.images_per_second),
            mebibytes(cost.process_mib),
            mebibytes(cost.device_mib),
            "" if cost.parameters is None else f"{cost.parameters:,}",
            cost.hardware,
        ]
        for run, cost in zip(summary.runs, summary.costs, strict=True)
    ]
    head = ["run", "iterations", "time", "images/s", "memory", "GPU memory", "parameters", "hardware"]
    return "\n".join([*lines, *_table(head, costs)]) + "\n"


def spreadsheet(summary: Summary) -> str:
    """Return CSV, a line for each run: state, swept values, every shown score with its interval, cost."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [metric.name for metric in summary.metrics]
    scores = [part for name in names for part in (name, f"{name}_low", f"{name}_high", f"{name}_rank")]
    cost = ["seconds", "images_per_second", "process_mib", "device_mib", "generator_parameters", "hardware"]
    writer.writerow(
        ["run", "folder", "state", "reason", "iterations", "scored_at", *summary.swept, *scores, *cost]
    )
    for i, run in enumerate(summary.runs):
        scored = summary.scored[i]
        found: list[object] = []
        for column in summary.columns:
            cell = column[i]
            low, high = (cell.interval if cell else None) or ("", "")
            found += [cell.value if cell else "", low, high, (cell.rank if cell else None) or ""]
        swept = [row[i] for row in summary.swept.values()]
        at = scored.iteration if scored else ""
        reason = run.reason or summary.why_not[i]
        writer.writerow(
            [run.name, run.folder, run.state, reason, run.iterations, at, *swept, *found, *summary.costs[i]]
        )
    return text.getvalue()


def _maybe(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [head, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]
