"""Pictures in and out; the only file that knows any range but [-1, 1].

Inside toonlab an image is RGB, float, `(3, H, W)` or `(B, 3, H, W)`, in [-1, 1].
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


class BadImageError(ValueError):
    """A file that cannot be decoded as an image; the message says why in a few words."""


class Picture(NamedTuple):
    """A decoded file: upright RGB, and what must survive to the output."""

    rgb: Image.Image
    alpha: Image.Image | None
    icc_profile: bytes | None


def decode(path: Path) -> Picture:
    """Read any common image as upright 8-bit RGB with its alpha aside.

    EXIF orientation is applied; grey, palette, CMYK and 16-bit files are converted; of an animation,
    the first frame is taken.

    Raises:
        BadImageError: the file is empty, truncated, too large to be safe, or no image at all.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            picture: Image.Image = ImageOps.exif_transpose(opened)
            profile = opened.info.get("icc_profile")
    except UnidentifiedImageError as error:
        empty = path.is_file() and path.stat().st_size == 0
        raise BadImageError("empty file" if empty else "not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadImageError(str(error) or type(error).__name__) from error
    picture = _eight_bit(picture)
    alpha = None
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
    # A profile describes the file's own colour space: of no use once CMYK or grey became RGB.
    keeps_profile = picture.mode in ("RGB", "RGBA")
    return Picture(picture.convert("RGB"), alpha, profile if keeps_profile else None)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Scale 16-bit and float modes to 8 bits; `convert` alone would clip them to white."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    values = np.asarray(picture, dtype=np.float64)
    top = 65535.0 if picture.mode != "F" else max(float(values.max(initial=0)), 1e-12)
    scaled = (values * (255.0 / top)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(scaled)


def on_white(picture: Picture) -> Image.Image:
    """Return opaque RGB; transparent parts become white, as on a page."""
    if picture.alpha is None:
        return picture.rgb
    page = Image.new("RGB", picture.rgb.size, "white")
    page.paste(picture.rgb, mask=picture.alpha)
    return page


def to_tensor(picture: Image.Image) -> Tensor:
    """Return an RGB picture as `(3, H, W)` in [-1, 1]."""
    values = torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.uint8))
    return from_uint8(values.permute(2, 0, 1)).contiguous()


def from_uint8(values: Tensor) -> Tensor:
    """Map 0..255 to [-1, 1] exactly: 0 to -1, 255 to 1."""
    return values.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Map [-1, 1] to 0..255 with rounding; values outside are clipped, never wrapped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def to_unit(images: Tensor) -> Tensor:
    """Map [-1, 1] to [0, 1], clipped."""
    return (images.clamp(-1, 1) + 1) / 2


def to_array(image: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return one `(3, H, W)` image as an `(H, W, 3)` uint8 array."""
    array: np.ndarray[Any, np.dtype[np.uint8]] = to_uint8(image).permute(1, 2, 0).cpu().contiguous().numpy()
    return array


def to_picture(image: Tensor) -> Image.Image:
    """Return one `(3, H, W)` image in [-1, 1] as a PIL picture."""
    return Image.fromarray(to_array(image))


def save(picture: Image.Image, path: Path, **options: Any) -> None:
    """Write atomically: an interrupted write leaves the old file, or none, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: threads and processes may write the same picture at once, and the last one stays.
    part = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        picture.save(part, **options)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad `(B, C, H, W)` at bottom and right by reflection so that H and W divide by `multiple`.

    Falls back to repeating the edge where an image is too small to be reflected.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return images
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(images, (0, right, 0, bottom), mode=mode)


def sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], gap: int = 4) -> Image.Image:
    """Lay pictures out as a titled table on white, `gap` pixels apart.

    Columns are as wide as their widest picture and rows as high as their highest.
    """
    widths = [max(picture.width for picture in column) for column in zip(*rows, strict=True)]
    heights = [max(picture.height for picture in row) for row in rows]
    size = max(10, min(22, min(widths) // 9))
    font, top = ImageFont.load_default(size=size), gap + int(size * 1.6)
    lefts = [gap + sum(widths[:j]) + j * gap for j in range(len(widths))]
    page = Image.new("RGB", (lefts[-1] + widths[-1] + gap, top + sum(heights) + gap * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for left, title in zip(lefts, titles, strict=True):
        pen.text((left, gap), title, "black", font)
    for row, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, row, strict=True):
            page.paste(picture, (left, top))
        top += height + gap
    return page
