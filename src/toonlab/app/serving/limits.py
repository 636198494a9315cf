"""Uploads that are looked at before anything is decoded: what they are and how large they will be."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from toonlab.errors import UsageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""By content, whatever the name says. Others Pillow would read too: EPS and PDF start a program for it."""

FRAMES = 4
"""An animation may have so many times the pixels of a picture, all its frames together."""


def check_picture(path: Path, *, max_pixels: int) -> tuple[int, int]:
    """Return a picture's width and height from its header; no pixel is decoded.

    Raises:
        UsageError: it is no picture of `FORMATS`, or would be too large in memory.
    """
    if path.stat().st_size == 0:
        raise UsageError("the file is empty: choose another")
    frames = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels is stricter
            with Image.open(path, formats=FORMATS) as opened:
                width, height = opened.size
                if width * height <= max_pixels and getattr(opened, "is_animated", False):
                    frames = int(opened.n_frames)  # type: ignore[attr-defined]
    except UnidentifiedImageError as error:
        raise UsageError(
            f"not a picture that this page reads ({', '.join(FORMATS)}): {_word(path)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise UsageError(_too_large("more than 179 million pixels", max_pixels)) from error
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError) as error:
        raise UsageError("the picture is damaged: choose another") from error
    if width * height > max_pixels:
        raise UsageError(_too_large(f"{width}x{height}", max_pixels))
    if width * height * frames > FRAMES * max_pixels:
        raise UsageError(_too_large(f"{frames} frames of {width}x{height}", FRAMES * max_pixels))
    return width, height


def check_film(path: Path, *, max_pixels: int, max_frames: int) -> None:
    """Look at a film's header, and at its first frame.

    Raises:
        UsageError: it is no film, or too long or too large.
    """
    import av

    if path.stat().st_size == 0:
        raise UsageError("the file is empty: choose another")
    # A playlist (HLS, concat) is a text file that names others: of this machine, or elsewhere.
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
    }
    try:
        with av.open(str(path), container_options=options) as container:
            if not container.streams.video:
                raise UsageError("no film: there is no picture in this file")
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            seconds = float(container.duration or 0) / av.time_base
            frames = stream.frames or round(seconds * float(stream.average_rate or 25))
            if width * height > max_pixels:
                raise UsageError(_too_large(f"{width}x{height}", max_pixels))
            if next(container.decode(video=0), None) is None:
                raise UsageError("the film has no frames: choose another")
    except (av.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"not a film that this page reads (MP4, MOV, MKV, WebM, AVI): {_word(path)}"
        ) from error
    if frames > max_frames:
        raise UsageError(
            f"the film has {frames} frames, this page takes {max_frames}: cut it, or paint it on the "
            "command line"
        )


def _too_large(size: str, max_pixels: int) -> str:
    return f"too large: {size}, this page takes {max_pixels / 1e6:g} million pixels; make it smaller first"


def _word(path: Path) -> str:
    return f"{path.suffix or 'without a suffix'} by its name, something else inside"
