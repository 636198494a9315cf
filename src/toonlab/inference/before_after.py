"""What one looks at after painting: photos and their cartoons side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from toonlab import images

BOX = 320, 256  # pixels: the largest a photo is shown
MOST = 24  # photos on a page


def before_after(pairs: Sequence[tuple[Path, Path]]) -> Image.Image:
    """Lay (photo, cartoon) files out, two pairs a row; of more than 24 pairs, 24 at even distances.

    Raises:
        BadImageError: a file cannot be decoded.
    """
    shown = pairs
    if len(pairs) > MOST:
        shown = [pairs[round(i * (len(pairs) - 1) / (MOST - 1))] for i in range(MOST)]
    cells = [_small(path) for pair in shown for path in pair]
    across = 4 if len(shown) > 1 else 2
    cells += [Image.new("RGB", (1, 1), "white")] * (-len(cells) % across)
    rows = [cells[i : i + across] for i in range(0, len(cells), across)]
    return images.sheet(rows, ["photo", "cartoon"] * (across // 2))


def _small(path: Path) -> Image.Image:
    page = images.on_white(images.decode(path))
    page.thumbnail(BOX, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return page
