"""The report as one HTML page that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from toonlab.reports.chart import look, number
from toonlab.reports.cost import duration, mebibytes
from toonlab.reports.curves import loss_figures, score_figures
from toonlab.reports.jpeg import embedded
from toonlab.reports.scores import Cell
from toonlab.reports.summary import Summary, shown
from toonlab.reports.tables import written


class Grid(NamedTuple):
    """The same photos painted by several runs."""

    photos: Sequence[Image.Image]
    painted: Mapping[int, Sequence[Image.Image]]  # by the run's number in the summary
    source: str  # photo or cartoon
    where: str  # which photos these are
    style: str | None = None  # that they are painted in, of runs with several


def page(summary: Summary, grids: Sequence[Grid], *, made: str) -> str:
    """Return the page.

    Args:
        summary: what is said.
        grids: what is shown; one for each direction in which runs paint.
        made: when, and by which version.
    """
    environment = Environment(
        loader=PackageLoader("toonlab.reports"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html", "j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "mebibytes": mebibytes,
        "shown": shown,
        "written": written,
        "look": look,
        "breakable": _breakable,
    }

    def whole(name: str) -> Markup:
        """Return a file of ours as it is."""
        return Markup(environment.get_template(name).render())  # noqa: S704 (no user's text in it)

    return environment.get_template("page.html.j2").render(
        summary=summary,
        spans=[_span(column) for column in summary.columns],
        grids=_with_pictures(grids),
        scores=score_figures(summary.runs, summary.metrics),
        losses=loss_figures(summary.runs),
        made=made,
        style=whole("style.css"),
        script=whole("script.js"),
    )


def _breakable(key: str) -> Markup:
    """Let a long key wrap behind its dots."""
    return Markup(".<wbr>").join(key.split("."))


def _span(column: Sequence[Cell | None]) -> tuple[float, float]:
    """Return where a column's intervals begin, and how far they reach."""
    ends = [end for cell in column if cell and cell.interval for end in (*cell.interval, cell.value)]
    if not ends:
        return 0.0, 1.0
    return min(ends), max(ends) - min(ends) or 1.0


def _with_pictures(grids: Sequence[Grid]) -> list[dict[str, object]]:
    """Return the grids with data URIs for pictures; all share the page's budget."""
    rows = [row for grid in grids for row in (grid.photos, *grid.painted.values())]
    uris = iter(embedded(rows))
    return [
        {
            "source": grid.source,
            "where": grid.where,
            "style": grid.style,
            "photos": next(uris),
            "painted": {run: next(uris) for run in grid.painted},
        }
        for grid in grids
    ]
