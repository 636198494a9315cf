"""Photographs out of packages as several trained networks paint them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toonlab import images as im
from toonlab.data.demo import _PICTURES, _find
from toonlab.engine.checkpoint import load_generator
from toonlab.inference.stylizer import Stylizer


def sheet(columns: Sequence[tuple[str, Path, str | None]], path: Path, side: int = 128) -> None:
    """Write a picture with a row for each photograph.

    Args:
        columns: title, run folder, and the style if the run has several.
        path: of the picture, a JPEG.
        side: shorter side of a photograph, pixels.
    """
    painters = []
    for _, run, style in columns:
        generator = load_generator(run, style=style).generator
        painters.append(Stylizer(generator, multiple=generator.multiple, output_filter=None, tile=None))
    rows = []
    for name in _PICTURES["photos"]:
        picture = im.decode(_find(name)).rgb
        factor = side / min(picture.size)
        picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
        painted = [painter.paint(im.to_tensor(picture)[None])[0] for painter in painters]
        rows.append([picture, *(im.to_picture(image) for image in painted)])
    im.save(im.sheet(rows, ["photo", *(title for title, *_ in columns)]), path, quality=75)
