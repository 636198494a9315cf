"""Contact sheets: many pictures on one page, each with a line beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont, ImageOps

CELL = 240, 180  # pixels: the largest a picture is shown
_LINE = 16  # pixels below each picture for its caption

T = TypeVar("T")


def contact_sheet(cells: Sequence[tuple[Image.Image, str]], across: int = 5) -> Image.Image:
    """Lay captioned pictures out on white, `across` in a row; a caption that is too long loses its end."""
    width, height = CELL
    rows = max(1, -(-len(cells) // across))
    page = Image.new("RGB", (across * (width + 6) + 6, rows * (height + _LINE + 6) + 6), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    for i, (picture, caption) in enumerate(cells):
        left, top = 6 + i % across * (width + 6), 6 + i // across * (height + _LINE + 6)
        page.paste(ImageOps.pad(picture.convert("RGB"), CELL, color="#ddd"), (left, top))
        while caption and pen.textlength(caption, font) > width:
            caption = caption[:-1]
        pen.text((left, top + height + 1), caption, "black", font)
    return page


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, at even distances, first and last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]
