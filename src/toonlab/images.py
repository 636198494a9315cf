"""Pictures in and out; the only file that knows any range but [-1, 1].

Inside toonlab an image is RGB, float, `(3, H, W)` or `(B, 3, H, W)`, in [-1, 1].
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
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


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a file with Pillow; what goes wrong with its content inside is one of our errors.

    Raises:
        BadImageError: the file is empty, truncated, too large to be safe, or no image at all.
    """
    try:
        with Image.open(path) as file:
            yield file
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        empty = path.is_file() and path.stat().st_size == 0
        raise BadImageError("empty file" if empty else "not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadImageError(str(error) or type(error).__name__) from error


def decode(path: Path) -> Picture:
    """Read any common image as upright 8-bit RGB with its alpha aside.

    EXIF orientation is applied; grey, palette, CMYK, Lab and 16-bit files are converted, by their colour
    profile if they have one; of an animation, the first frame is taken.

    Raises:
        BadImageError: see `opened`.
    """
    with opened(path) as file:
        file.load()
        picture: Image.Image = ImageOps.exif_transpose(file)
        profile = file.info.get("icc_profile")
        picture = _eight_bit(picture)
        if file.mode.startswith("I;16") and getattr(file, "tag_v2", {}).get(262) == 0:
            picture = ImageOps.invert(picture)  # white is 0, which Pillow heeds in 8 bits only
        if picture.mode in ("P", "PA"):  # to RGB at once, Pillow warns of transparency it drops
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        alpha = None
        if picture.has_transparency_data:
            alpha = picture.convert("RGBA").getchannel("A")
            if alpha.getextrema() == (255, 255):
                alpha = None
        if picture.mode in ("RGB", "RGBA"):
            return Picture(picture.convert("RGB"), alpha, profile_of("RGB", profile))
        # A profile describes the file's own colour space: of no use once CMYK or grey became RGB.
        return Picture(by_profile(picture, profile) or picture.convert("RGB"), alpha, None)


def profile_of(space: str, profile: bytes | None) -> bytes | None:
    """Return an ICC profile unless it names another colour space than that ("RGB", "GRAY", "CMYK")."""
    named = (profile or b"")[16:20]
    return profile if named in (space.ljust(4).encode(), b"") else None


def by_profile(picture: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Return the picture as sRGB, as its own colour profile says; None if that is not of this colour space.

    Relative colorimetric with black point compensation, as Photoshop does unless told otherwise. Lab needs no
    profile.
    """
    if picture.mode == "LA":
        picture = picture.convert("L")
    space = {"CMYK": "CMYK", "L": "GRAY", "LAB": "Lab"}.get(picture.mode)
    if space is None or not (profile or space == "Lab"):
        return None
    try:
        own = ImageCms.ImageCmsProfile(
            ImageCms.createProfile("LAB") if space == "Lab" else io.BytesIO(profile or b"")
        )
        if own.profile.xcolor_space.strip() != space:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(
            picture,
            own,
            srgb,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return None


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
    atomically(path, lambda part: picture.save(part, **options))


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file under another name, which then takes its place at once, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: threads and processes may write the same picture at once, and the last one stays.
    part = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def padding_multiple(height: int, width: int, multiple: int) -> int:
    """Return what a picture is padded to a multiple of, for a generator that wants multiples of `multiple`.

    A few cells at the bottleneck are the least that reflection and InstanceNorm work with.
    """
    least = 4 * multiple
    return multiple if min(height, width) >= least else least


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad `(B, C, H, W)` at bottom and right by reflection so that H and W divide by `multiple`.

    Falls back to repeating the edge along an axis that is too short to be reflected.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    for pads, enough in (((0, right, 0, 0), right < width), ((0, 0, 0, bottom), bottom < height)):
        if any(pads):
            images = F.pad(images, pads, mode="reflect" if enough else "replicate")
    return images


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)


def _length(text: str, size: int) -> float:
    length: float = _font(size).getlength(text)
    return length


def sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], gap: int = 4) -> Image.Image:
    """Lay pictures out as a titled table on white, `gap` pixels apart.

    Columns are as wide as their widest picture and rows as high as their highest. Titles are as large as all
    of them fit, and cut where they would be too small to read.
    """
    widths = [max(picture.width for picture in column) for column in zip(*rows, strict=True)]
    heights = [max(picture.height for picture in row) for row in rows]
    size = max(10, min(22, min(widths) // 9))
    longest = max(_length(title, size) / width for title, width in zip(titles, widths, strict=True))
    top, size = gap + int(size * 1.6), max(10, min(size, int(size / max(longest, 1.0))))
    lefts = [gap + sum(widths[:j]) + j * gap for j in range(len(widths))]
    page = Image.new("RGB", (lefts[-1] + widths[-1] + gap, top + sum(heights) + gap * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for left, title, width in zip(lefts, titles, widths, strict=True):
        fitting = title
        while _length(fitting, size) > width and len(fitting) > 1:
            fitting = fitting.removesuffix("…")[:-1] + "…"
        pen.text((left, gap), fitting, "black", _font(size))
    for row, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, row, strict=True):
            page.paste(picture, (left, top))
        top += height + gap
    return page
