"""Pictures inside a page: JPEG as data URIs, as large as the page's budget lets them be."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

BUDGET = 3_000_000  # bytes of base64 for all pictures of a page, so that all of it stays below 5 MB
_STEPS = (
    (512, 88),
    (384, 86),
    (256, 84),
    (192, 82),
    (160, 80),
    (128, 75),
    (96, 70),
    (64, 60),
)  # side, quality


def embedded(rows: Sequence[Sequence[Image.Image]], *, budget: int = BUDGET) -> list[list[str]]:
    """Return every picture as a data URI, none larger than it was, all of one quality.

    Args:
        rows: pictures; any sizes.
        budget: bytes of all URIs together; the smallest step is taken even if it exceeds them.
    """
    found: list[list[str]] = []
    for side, quality in _STEPS:
        found = [[_uri(picture, side, quality) for picture in row] for row in rows]
        if sum(len(uri) for row in found for uri in row) <= budget:
            break
    return found


def _uri(picture: Image.Image, side: int, quality: int) -> str:
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Full chroma: cartoons are thin lines between flat colours. Not `optimize`: pictures of noise, as a
    # failed training paints, do not fit into Pillow's buffer for it.
    small.save(buffer, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
