"""Photographs out of packages as several trained networks paint them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapter_models import Model

from toonlab import images as im
from toonlab.data.demo import _PICTURES, _find
from toonlab.engine.checkpoint import load_generator
from toonlab.inference.stylizer import Stylizer

EACH = 2  # photographs in each style


def sheet(found: Sequence[Model], styles: Sequence[str], path: Path, side: int = 160) -> None:
    """Write a picture with some rows for each style, and a column for each way to learn it.

    Args:
        found: the networks; all rows of the tables that know every style are shown.
        styles: in their order.
        path: of the picture, a JPEG.
        side: shorter side of a photograph, pixels.
    """
    photos = list(_PICTURES["photos"])
    titles = list(dict.fromkeys(model.row for model in found))
    rows = []
    for number, style in enumerate(styles):
        painters = [
            _painter(*(m for m in found if m.row == row and style in m.styles), style=style) for row in titles
        ]
        for name in (photos[(number * EACH + i) % len(photos)] for i in range(EACH)):
            picture = im.decode(_find(name)).rgb
            factor = side / min(picture.size)
            picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
            painted = [painter.paint(im.to_tensor(picture)[None])[0] for painter in painters]
            rows.append([picture, *(im.to_picture(image) for image in painted)])
    im.save(im.sheet(rows, ["photo", *titles]), path, quality=75)


def _painter(model: Model, *, style: str) -> Stylizer:
    holds_many = model.checkpoint is None and model.row != "single"
    generator = load_generator(
        model.checkpoint or model.folder, style=style if holds_many else None
    ).generator
    return Stylizer(generator, multiple=generator.multiple, output_filter=None, tile=None)
