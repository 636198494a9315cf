"""Pictures with something in them, collages and films of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[np.uint8]]


def scene(seed: int, height: int = 120, width: int = 160) -> Array:
    """Shapes on a slope of colour, `(H, W, 3)` uint8; other seeds show other things."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(70, 200, (2, 2, 3)).astype(np.float32)
    page = np.ascontiguousarray(
        cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    )
    for _ in range(14):
        colour = tuple(int(c) for c in rng.integers(40, 250, 3))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(4, width // 5)), int(rng.integers(4, height // 5))
        cv2.ellipse(page, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return page


def cartoon(photo: Array, style: int) -> Array:
    """Fewer tones, another tint, black lines."""
    flat = (cv2.medianBlur(photo, 5) // 48 * 48 + 24).astype(np.float32)
    lines = cv2.Canny(photo, 60, 120) > 0
    flat *= np.float32([(1, 0.8, 0.7), (0.7, 1, 0.8), (0.9, 0.7, 1.1)][style])
    flat[lines] = 20
    return flat.clip(0, 255).astype(np.uint8)


def grid(pieces: Sequence[Array], gap: int = 0, frame: int = 0, strip: int = 0, colour: int = 255) -> Array:
    """Lay four pictures out two by two."""
    height, width = pieces[0].shape[:2]
    page = np.full((2 * (height + frame) + gap + strip, 2 * (width + frame) + gap, 3), colour, np.uint8)
    for i, piece in enumerate(pieces):
        y, x = frame + i // 2 * (height + gap), frame + i % 2 * (width + gap)
        page[y : y + height, x : x + width] = piece
    return page


def collage(seed: int, side: int = 150, **layout: int) -> Array:
    photo = scene(seed, side, side)
    return grid([photo, *(cartoon(photo, style) for style in range(3))], **layout)


def panned(picture: Array, count: int, height: int, width: int) -> list[Array]:
    """A shot: the camera moves over the picture."""
    room = picture.shape[1] - width
    return [picture[:height, room * i // count : room * i // count + width] for i in range(count)]


def write_film(
    path: Path,
    frames: Iterable[Array],
    *,
    fps: int = 12,
    turned: int = 0,
    aspect: Fraction | None = None,
    colours: tuple[int, int] | None = None,
) -> Path:
    """Encode frames; `turned` degrees to the left when shown, `colours` (range, space) as tagged."""
    frames = [np.ascontiguousarray(frame) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if colours and colours[0] == 2 else "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast"}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if colours:
            stream.codec_context.color_range, stream.codec_context.colorspace = colours
        if turned:
            stream.set_display_rotation(turned)
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            if colours:
                picture = picture.reformat(
                    format=stream.pix_fmt, dst_colorspace=colours[1], dst_color_range=colours[0]
                )
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path
