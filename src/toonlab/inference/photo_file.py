"""What a picture file holds, in full: 16 bits a channel, and every frame of an animation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

from toonlab import images

Array = np.ndarray[Any, np.dtype[Any]]

ANIMATED = frozenset({".gif", ".webp", ".png"})
"""Formats that hold several frames (PNG as APNG)."""

READABLE = images.EXTENSIONS | {".gif"} | ({".avif"} if features.check("avif") else set())
"""What can be painted: more than what is trained on."""

_TURNS: dict[int, Callable[[Array], Array]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""By EXIF orientation: how stored pixels are to be turned."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        rgb: `(H, W, 3)` uint8, or uint16 with white at 65535.
        alpha: `(H, W)` of the same type, or None where all is opaque.
        milliseconds: how long an animation shows it.
    """

    rgb: Array
    alpha: Array | None = None
    milliseconds: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """A decoded file.

    Attributes:
        frames: yields the frames, upright; an animation's are decoded one at a time.
        animated: there are several.
        icc_profile: of the pixels' colours, if they are not sRGB.
        plays: how often an animation is shown; 0 for ever.
        lacking: what of the file is not here, in words.
        deep: frames are uint16.
    """

    frames: Callable[[], Iterator[Frame]]
    animated: bool = False
    icc_profile: bytes | None = None
    plays: int = 0
    lacking: str | None = None
    deep: bool = False

    def with_pixels(self, change: Callable[[Array], Array]) -> Photo:
        """Return the photo with `change` of each `(H, W, 3)`; an animation's when they are asked for."""

        def changed() -> Iterator[Frame]:
            for frame in self.frames():
                yield dataclasses.replace(frame, rgb=change(frame.rgb))

        if self.animated:
            return dataclasses.replace(self, frames=changed)
        done = list(changed())
        return dataclasses.replace(self, frames=lambda: iter(done))


def read(path: Path, target: Path) -> Photo:
    """Decode a file as far as the target's format can hold what is in it.

    Raises:
        BadImageError: it cannot be decoded.
    """
    with images.opened(path) as file:
        count, kind = getattr(file, "n_frames", 1), file.format
        deep = _is_deep(path, file)
        profile, orientation = file.info.get("icc_profile"), file.getexif().get(0x0112, 1)
        if count > 1 and kind in ("GIF", "WEBP", "PNG", "AVIF") and target.suffix.lower() in ANIMATED:
            return Photo(
                frames=lambda: _frames(path, orientation),
                animated=True,
                icc_profile=profile if file.mode in ("RGB", "RGBA", "RGBX") else None,
                plays=_plays(kind, file.info.get("loop")),
            )
        if deep:
            file.load()  # Pillow says so where a file is cut short; OpenCV leaves the rest black
    lacking = None
    if count > 1 and kind == "TIFF":
        lacking = f"the first of {count} pages"
    elif count > 1 and kind != "MPO":  # a camera's JPEG with a second picture for its own display
        lacking = f"the first of {count} frames; a .gif, .webp or .png would have all"
    if deep:
        frame = _deep(path, orientation)
        return Photo(frames=lambda: iter([frame]), icc_profile=profile, lacking=lacking, deep=True)
    picture = images.decode(path)
    alpha = None if picture.alpha is None else np.asarray(picture.alpha)
    still = Frame(np.asarray(picture.rgb), alpha)
    return Photo(frames=lambda: iter([still]), icc_profile=picture.icc_profile, lacking=lacking)


def _plays(kind: str | None, loop: int | None) -> int:
    """Return how often an animation is shown: GIF counts repeats, and none said is once."""
    if kind == "GIF":
        return 1 if loop is None else loop + 1 if loop else 0
    return loop or 0


def _frames(path: Path, orientation: int) -> Iterator[Frame]:
    """Decode an animation frame by frame, each as it is seen: on top of those before it."""
    with images.opened(path) as file:
        first = 1 if file.info.get("default_image") else 0  # of an APNG: shown where nothing moves
        for number in range(first, getattr(file, "n_frames", 1)):
            file.seek(number)
            pixels = np.asarray(file.convert("RGBA"))
            pixels = _TURNS[orientation](pixels) if orientation in _TURNS else pixels
            alpha = None if (pixels[..., 3] == 255).all() else pixels[..., 3]
            yield Frame(pixels[..., :3], alpha, float(file.info.get("duration", 0)))


def _is_deep(path: Path, file: Image.Image) -> bool:
    """Whether there are 16 bits a channel, which Pillow would cut to 8 (grey alone it would not)."""
    if file.format == "PNG":
        with path.open("rb") as stream:
            header = stream.read(26)
        return header[24] == 16 and "transparency" not in file.info
    if file.format == "TIFF":
        tags = file.tag_v2  # type: ignore[attr-defined]
        whole = set(tags.get(339, (1,))) == {1}
        return set(tags.get(258, (1,))) == {16} and tags.get(262) in (1, 2) and whole
    return False


def _deep(path: Path, orientation: int) -> Frame:
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise images.BadImageError("16 bits a channel of a kind that OpenCV does not read")
    if orientation in _TURNS:
        values = _TURNS[orientation](values)
    if values.ndim == 2:
        values = values[..., None]
    colours, alpha = (
        (values[..., :1], values[..., 1:2]) if values.shape[-1] == 2 else (values[..., :3], values[..., 3:])
    )
    rgb = np.repeat(colours, 3, -1) if colours.shape[-1] == 1 else colours[..., ::-1]
    transparent = alpha.shape[-1] and (alpha != 65535).any()
    return Frame(np.ascontiguousarray(rgb), np.ascontiguousarray(alpha[..., 0]) if transparent else None)
