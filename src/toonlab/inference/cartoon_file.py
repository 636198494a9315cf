"""What a cartoon's file keeps of its photo's, in each format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from toonlab import images

OPAQUE = frozenset({".jpg", ".jpeg", ".bmp"})
"""Formats that cannot hold alpha (BMP can in theory; few programs read it)."""

# Cartoons are thin lines between flat colours: halved chroma would smear them.
_ENCODING: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
}


def write(cartoon: Tensor, target: Path, *, photo: images.Picture) -> None:
    """Write a cartoon `(3, H, W)` in [-1, 1] in the format of the target's suffix.

    Alpha and colour profile are the photo's. No EXIF is written: its orientation was applied by decoding, and
    a viewer would turn the cartoon once more.

    Args:
        cartoon: of the photo, pixel by pixel.
        target: where.
        photo: as `images.decode` returned it; without alpha where the format is `OPAQUE`.
    """
    suffix = target.suffix.lower()
    painted = images.to_picture(cartoon)
    if photo.alpha is not None:
        painted.putalpha(photo.alpha)
    options = dict(_ENCODING.get(suffix, {}))
    if photo.icc_profile and suffix != ".bmp":
        options["icc_profile"] = photo.icc_profile
    images.save(painted, target, **options)
