"""The report as one Weights & Biases run: a table, the pictures, the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toonlab import images as im
from toonlab.app.loggers import MODES
from toonlab.errors import check_choice
from toonlab.reports.page import Grid
from toonlab.reports.summary import Summary, shown

_SIDE = 256  # pixels of a picture in the sheet


def mirror(cfg: DictConfig, summary: Summary, grids: Sequence[Grid], page: str, folder: Path) -> None:
    """Write a run of job type `report`, in the group of the runs it is about; offline into `folder/wandb`.

    Args:
        cfg: says `wandb`.
        summary: the table's content.
        grids: become a sheet of pictures each.
        page: the HTML.
        folder: of the report.

    Raises:
        UsageError: an unknown mode.
    """
    settings: dict[str, Any] = OmegaConf.to_container(cfg.wandb, resolve=True)  # type: ignore[assignment]
    check_choice("wandb.mode", settings["mode"], MODES)
    import wandb  # seconds to import, and most reports do without

    told = {"group": summary.title, "name": f"report {summary.title}"}
    settings |= {key: value for key, value in told.items() if settings.get(key) is None}
    run = wandb.init(**settings | {"job_type": "report", "dir": str(folder)})
    columns, rows = _table(summary)
    content: dict[str, Any] = {"runs": wandb.Table(columns=columns, data=rows, allow_mixed_types=True)}
    for grid in grids:
        styled = f" as {grid.style}" if grid.style else ""
        content[f"pictures/{grid.source}{styled}"] = wandb.Image(_sheet(grid, summary))
    content["report"] = wandb.Html(page, inject=False)
    run.log(content)
    run.finish()


def _table(summary: Summary) -> tuple[list[str | int], list[list[Any]]]:
    names = [
        part
        for metric in summary.metrics
        for part in (metric.name, f"{metric.name} interval", f"{metric.name} rank")
    ]
    rows = []
    for i, run in enumerate(summary.runs):
        scores: list[Any] = []
        for column in summary.columns:
            cell = column[i]
            interval = cell.interval if cell else None
            written = f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else None
            scores += [cell.value if cell else None, written, str(cell.rank) if cell and cell.rank else None]
        cost = summary.costs[i]
        rows.append(
            [run.name, run.state, run.iterations]
            + [shown(row[i]) for row in summary.told.values()]
            + [*scores, cost.seconds, cost.images_per_second, cost.process_mib]
        )
    return ["run", "state", "iterations", *summary.told, *names, "seconds", "images/s", "memory MiB"], rows


def _sheet(grid: Grid, summary: Summary) -> Any:
    columns = [grid.photos, *grid.painted.values()]
    for picture in (picture for column in columns for picture in column):
        picture.thumbnail((_SIDE, _SIDE))
    rows = [list(row) for row in zip(*columns, strict=True)]
    return im.sheet(rows, [grid.source, *(summary.runs[i].name for i in grid.painted)])
