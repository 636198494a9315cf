"""The report of a vote as one HTML page that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from toonlab.reports.chart import look, number
from toonlab.reports.jpeg import embedded
from toonlab.votes import tables
from toonlab.votes.results import Results


class Shown(NamedTuple):
    """A photo of the vote, and what each model made of it."""

    photo: int
    picture: Image.Image
    painted: Sequence[Image.Image]  # by model


def page(results: Results, shown: Sequence[Shown], *, made: str) -> str:
    """Return the page.

    Args:
        results: what is said.
        shown: what is shown beside the votes of each photo.
        made: when, and by which version.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("toonlab.votes"), PackageLoader("toonlab.reports")]),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html", "j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": tables.percent, "look": look}

    def whole(name: str) -> Markup:
        """Return a file of ours as it is."""
        return Markup(environment.get_template(name).render())  # noqa: S704 (no user's text in it)

    rows = [[each.picture, *each.painted] for each in shown]
    pictures = [(each.photo, uris) for each, uris in zip(shown, embedded(rows), strict=True)]
    return environment.get_template("report.html.j2").render(
        results=results,
        names=[model.name for model in results.manifest.models],
        pictures=pictures,
        tables=tables,
        made=made,
        style=whole("style.css"),
        script=whole("script.js"),
    )
