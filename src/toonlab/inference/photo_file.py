"""What a picture file holds, in full: 16 bits a channel, and every frame of an animation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, features

from toonlab import images

Array = np.ndarray[Any, np.dtype[Any]]

ANIMATED = frozenset({".gif", ".webp", ".png"})
"""Formats that hold several frames (PNG as APNG)."""

_RGB_MODES = ("RGB", "RGBA", "RGBX")

_EIGHT = "its 16 bits a channel, which were read as 8: "
"""What is said where it had to be; why follows."""

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
                icc_profile=images.profile_of("RGB", profile) if file.mode in _RGB_MODES else None,
                plays=_plays(kind, file.info.get("loop")),
            )
        grey = file.mode not in (*_RGB_MODES, "RGBa")
        if deep:
            file.load()  # Pillow says so where a file is cut short; OpenCV leaves the rest black
    lacking = None
    if count > 1 and kind == "TIFF":
        lacking = f"the first of {count} pages"
    elif count > 1 and kind != "MPO":  # a camera's JPEG with a second picture for its own display
        lacking = f"the first of {count} frames; a .gif, .webp or .png would have all"
    if deep:
        try:
            frame = _deep(path, kind, orientation)
        except _InEightBitsError as error:
            lacking = _and(lacking, f"{_EIGHT}{error}")
        else:
            if grey and (converted := _by_grey_profile(frame, profile)):
                why = "a grey colour profile is applied in 8 bits"
                return Photo(frames=lambda: iter([converted]), lacking=_and(lacking, f"{_EIGHT}{why}"))
            own = None if grey else images.profile_of("RGB", profile)
            return Photo(frames=lambda: iter([frame]), icc_profile=own, lacking=lacking, deep=True)
    picture = images.decode(path)
    alpha = None if picture.alpha is None else np.asarray(picture.alpha)
    still = Frame(np.asarray(picture.rgb), alpha)
    return Photo(frames=lambda: iter([still]), icc_profile=picture.icc_profile, lacking=lacking)


def _and(lacking: str | None, more: str) -> str:
    return f"{lacking}; {more}" if lacking else more


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
        return set(tags.get(258, (1,))) == {16} and tags.get(262) in (0, 1, 2) and whole
    return False


class _InEightBitsError(Exception):
    """What only Pillow can do, in 8 bits; the message says what that is."""


def _deep(path: Path, kind: str | None, orientation: int) -> Frame:
    """Decode 16 bits a channel.

    Raises:
        BadImageError: it cannot be decoded.
        _InEightBitsError: only Pillow can.
    """
    colours, alpha = _deep_tiff(path) if kind == "TIFF" else _deep_png(path)
    if colours.shape[-1] == 1:
        colours = np.repeat(colours, 3, -1)
    if alpha is not None and (alpha == 65535).all():
        alpha = None
    if orientation in _TURNS:
        turn = _TURNS[orientation]
        colours, alpha = turn(colours), None if alpha is None else turn(alpha)
    return Frame(np.ascontiguousarray(colours), None if alpha is None else np.ascontiguousarray(alpha))


def _by_grey_profile(frame: Frame, profile: bytes | None) -> Frame | None:
    """Return 16-bit grey as 8-bit sRGB by a profile of grey; None if it is another or does not work."""
    if not images.profile_of("GRAY", profile):
        return None
    converted = images.by_profile(Image.fromarray(rounded(frame.rgb[..., 0])), profile)
    if converted is None:
        return None
    return Frame(np.asarray(converted), None if frame.alpha is None else rounded(frame.alpha))


def rounded(values: Array) -> Array:
    """Return 16-bit numbers as 8-bit ones."""
    return ((values + 128.0) // 257).astype(np.uint8)


def _deep_png(path: Path) -> tuple[Array, Array | None]:
    """Return `(H, W, 1 or 3)` and alpha as they are stored."""
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise images.BadImageError("16 bits a channel of a kind that OpenCV does not read")
    if values.ndim == 2:
        return values[..., None], None
    return values[..., 2::-1], values[..., 3] if values.shape[-1] == 4 else None


def _deep_tiff(path: Path) -> tuple[Array, Array | None]:
    """Return `(H, W, 1 or 3)` and alpha as they are stored, but black at 0 and alpha not multiplied in."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            values = _tiff_values(path, file, page)
            photometric, extra = int(page.photometric), [int(kind) for kind in page.extrasamples]
    except (tifffile.TiffFileError, ValueError, NotImplementedError, RuntimeError, KeyError) as error:
        raise _InEightBitsError("a TIFF of a rare kind") from error
    channels = 3 if photometric == 2 else 1
    if values.dtype != np.uint16 or values.shape[-1] < channels:
        raise _InEightBitsError("a TIFF of a rare kind")
    colours = values[..., :channels]
    if photometric == 0:
        colours = 65535 - colours
    # 0 is a channel of no said meaning; where nothing is said at all it is alpha, as Pillow has it.
    if values.shape[-1] == channels or (extra and extra[0] not in (1, 2)):
        return colours, None
    alpha = values[..., channels]
    if extra and extra[0] == 1:
        some = np.maximum(alpha, 1)[..., None].astype(np.float64)
        plain = (colours * (65535.0 / some)).round().clip(0, 65535).astype(np.uint16)
        colours = np.where(alpha[..., None] > 0, plain, colours)
    return colours, alpha


def _tiff_values(path: Path, file: tifffile.TiffFile, page: Any) -> Array:
    """Return a page's `(H, W, channels)`, neither turned nor otherwise interpreted."""
    try:
        values = page.asarray()
    except ValueError:  # LZW and others, for which tifffile wants one more package
        return _by_opencv(path, file, page)
    if page.axes == "YX":
        return np.asarray(values[..., None])
    if page.axes == "SYX":  # one channel after the other
        return np.moveaxis(values, 0, -1)
    if page.axes != "YXS":
        raise ValueError(page.axes)
    return np.asarray(values)


def _by_opencv(path: Path, file: tifffile.TiffFile, page: Any) -> Array:
    """Decode with OpenCV, which turns TIFFs (if not told, and if told not to): so the file says upright."""
    content = np.fromfile(path, np.uint8)
    for name in ("Orientation", "PhotometricInterpretation"):
        tag = page.tags.get(name)
        if tag is not None and (name == "Orientation" or tag.value == 0):
            one = np.array([1], f"{file.byteorder}u2").view(np.uint8)
            content[tag.valueoffset : tag.valueoffset + 2] = one
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None or values.shape != page.shape:  # one channel after the other, among others
        raise ValueError("not for OpenCV")
    return values[..., None] if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[-1]]]
