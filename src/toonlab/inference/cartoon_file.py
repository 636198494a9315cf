"""What a cartoon's file keeps of its photo's, in each format."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from toonlab import images
from toonlab.errors import UsageError, check_choice
from toonlab.inference.photo_file import ANIMATED, Array, Frame, Photo, rounded

OPAQUE = frozenset({".jpg", ".jpeg", ".bmp"})
"""Formats that cannot hold alpha (BMP can in theory; few programs read it)."""

DEEP = frozenset({".png", ".tif", ".tiff"})
"""Formats that are written with 16 bits a channel."""

_WITHOUT_PROFILE = frozenset({".bmp", ".gif"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoding:
    """How cartoons are written.

    Attributes:
        file_quality: of JPEG, WebP and AVIF, 1 to 100.
        lossless: WebP and AVIF without loss.
        bits: a channel; `auto` is 16 where the photo has them and the format holds them.

    Raises:
        UsageError: a value is out of range.
    """

    file_quality: int = 95
    lossless: bool = False
    bits: Literal["auto", "8", "16"] = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.file_quality <= 100:
            raise UsageError(f"file_quality={self.file_quality} is not in 1 to 100")
        check_choice("bits", self.bits, ["auto", "8", "16"])

    def dtype(self, target: Path, photo: Photo) -> type[np.unsignedinteger[Any]]:
        """Return uint8 or uint16: what the cartoon of a photo is written as.

        Raises:
            UsageError: 16 bits are wanted and the format cannot hold them.
        """
        holds = target.suffix.lower() in DEEP and not photo.animated
        if self.bits == "16" and not holds:
            raise UsageError(f"bits=16: {target.name} cannot hold them; name the output .png or .tif")
        return np.uint16 if self.bits == "16" or (self.bits == "auto" and photo.deep and holds) else np.uint8

    def options(self, suffix: str) -> dict[str, Any]:
        """Return what Pillow is told of a format."""
        # Cartoons are thin lines between flat colours: halved chroma would smear them.
        if suffix in (".jpg", ".jpeg"):
            return {"quality": self.file_quality, "subsampling": 0}
        if suffix == ".webp":
            return {"quality": self.file_quality, "lossless": self.lossless, "exact": self.lossless}
        if suffix == ".avif":
            return {"quality": 100 if self.lossless else self.file_quality, "subsampling": "4:4:4"}
        return {}


def check_holds(photo: Photo, source: Path, target: Path) -> None:
    """Refuse to lose a still's alpha.

    Raises:
        UsageError: the photo has alpha and the target's format cannot hold it.
    """
    if photo.animated or target.suffix.lower() not in OPAQUE:
        return
    if any(frame.alpha is not None for frame in photo.frames()):
        raise UsageError(f"{source} has alpha and {target} cannot hold it: name the output .png")


def write(cartoon: Tensor, target: Path, *, photo: images.Picture) -> None:
    """Write a cartoon `(3, H, W)` in [-1, 1] in the format of the target's suffix.

    Alpha and colour profile are the photo's. No EXIF is written: its orientation was applied by decoding, and
    a viewer would turn the cartoon once more.

    Args:
        cartoon: of the photo, pixel by pixel.
        target: where.
        photo: as `images.decode` returned it; without alpha where the format is `OPAQUE`.
    """
    alpha = None if photo.alpha is None else np.asarray(photo.alpha)
    frame = Frame(images.to_array(cartoon), alpha)
    write_photo(Photo(frames=lambda: iter([frame]), icc_profile=photo.icc_profile), target)


def write_photo(cartoon: Photo, target: Path, *, encoding: Encoding | None = None) -> None:
    """Write a painted photo in the format of the target's suffix, as `write` does, all frames of it.

    Frames that are equal to the one before may be written as one that is shown as long as both (Pillow does).
    """
    encoding = encoding or Encoding()
    suffix = target.suffix.lower()
    options = encoding.options(suffix)
    if cartoon.icc_profile and suffix not in _WITHOUT_PROFILE:
        options["icc_profile"] = cartoon.icc_profile
    if cartoon.animated:
        _write_animation(cartoon, target, options)
        return
    (frame,) = cartoon.frames()
    if frame.rgb.dtype == np.uint16:
        _write_deep(frame, target, cartoon.icc_profile)
        return
    images.save(_picture(frame), target, **options)


def _picture(frame: Frame) -> Image.Image:
    picture = Image.fromarray(frame.rgb)
    if frame.alpha is not None:
        alpha = frame.alpha if frame.alpha.dtype == np.uint8 else rounded(frame.alpha)
        picture.putalpha(Image.fromarray(alpha))
    return picture


def _write_animation(cartoon: Photo, target: Path, options: dict[str, Any]) -> None:
    suffix = target.suffix.lower()
    if suffix not in ANIMATED:
        raise UsageError(f"{target} cannot hold several frames: name the output .gif, .webp or .png")
    times: list[int] = []

    def pictures() -> Iterator[Image.Image]:
        for frame in cartoon.frames():
            times.append(round(frame.milliseconds))
            yield _indexed(frame) if suffix == ".gif" else _picture(frame).convert("RGBA")

    # Pillow goes through the frames more than once, so all of them are held, as bytes.
    first, *others = pictures()
    options |= {"save_all": True, "append_images": others, "duration": times}
    if suffix == ".gif":
        options |= {"disposal": 2, "optimize": False}
        if cartoon.plays != 1:
            options["loop"] = max(cartoon.plays - 1, 0)
    else:
        options["loop"] = cartoon.plays
    if suffix == ".png":
        options |= {"disposal": 0, "blend": 0}
    images.save(first, target, **options)


def _indexed(frame: Frame) -> Image.Image:
    """Return a frame in 256 colours of its own, the last for places that are more than half transparent."""
    clear = None if frame.alpha is None else frame.alpha < 128
    colours = 256 if clear is None else 255
    picture = Image.fromarray(frame.rgb).quantize(colours, Image.Quantize.MEDIANCUT)
    if clear is not None:
        picture.paste(255, mask=Image.fromarray(clear))
        picture.info["transparency"] = 255
    return picture


def _write_deep(frame: Frame, target: Path, profile: bytes | None) -> None:
    """Write 16 bits a channel, which Pillow cannot."""
    parts = [frame.rgb] if frame.alpha is None else [frame.rgb, _deepened(frame.alpha)[..., None]]
    values = np.concatenate(parts, axis=-1)
    if target.suffix.lower() == ".png":
        order = [2, 1, 0, 3][: values.shape[-1]]
        _, encoded = cv2.imencode(".png", values[..., order])
        content = _with_profile(encoded.tobytes(), profile)
        images.atomically(target, lambda part: part.write_bytes(content))
        return
    import tifffile

    images.atomically(
        target,
        lambda part: tifffile.imwrite(
            part,
            values,
            photometric="rgb",
            extrasamples=None if frame.alpha is None else ["unassalpha"],
            compression="zlib",
            iccprofile=profile,
        ),
    )


def _deepened(alpha: Array) -> Array:
    return alpha if alpha.dtype == np.uint16 else alpha.astype(np.uint16) * 257


def _with_profile(png: bytes, profile: bytes | None) -> bytes:
    """Put a colour profile behind the header of a PNG."""
    if not profile:
        return png
    content = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    header = 8 + 25  # signature and IHDR
    return png[:header] + chunk + png[header:]
