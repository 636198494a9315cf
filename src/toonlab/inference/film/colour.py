"""Frames to RGB and back by the film's own matrix and range, so that only the painting changes colours."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

Array = np.ndarray[Any, np.dtype[np.uint8]]

RGB, BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 0, 1, 2, 5, 6, 9  # AVColorSpace
LIMITED, FULL = 1, 2  # AVColorRange; 0 is unspecified
HDR_CURVES = (16, 18)  # AVColorTransferCharacteristic: PQ and HLG
_HD = 576  # an untagged film with more rows, or columns than 1024, is BT.709, as players assume
# Lanczos, exact rounding, chroma interpolated and not repeated: swscale's fast paths shift colours.
_TO_RGB = 0x200 | 0x40000 | 0x2000
_TO_YUV = _TO_RGB | 0x4000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Colour:
    """What the numbers of a film's frames mean, and how the film says so.

    Attributes:
        matrix: between YUV and RGB, an AVColorSpace: the film's own or, of an untagged one, players' guess.
        range: `LIMITED` or `FULL`.
        tags: the film's matrix, range, primaries and transfer as they are written, unspecified ones included:
            a player then guesses for the painted film what it guesses for the source.
    """

    matrix: int
    range: int
    tags: tuple[int, int, int, int]

    @classmethod
    def of(cls, frame: VideoFrame) -> Colour:
        """Read it off a film's first frame."""
        name = frame.format.name
        full = frame.color_range == FULL or name.startswith("yuvj")
        guess = BT709 if frame.height > _HD or frame.width > 1024 else SMPTE170M
        if frame.format.is_rgb or frame.colorspace == RGB:
            return cls(
                matrix=BT709, range=LIMITED, tags=(BT709, LIMITED, frame.color_primaries, frame.color_trc)
            )
        known = frame.colorspace in (BT709, 4, BT470BG, SMPTE170M, 7, BT2020)
        tags = (frame.colorspace, FULL if full else frame.color_range, frame.color_primaries, frame.color_trc)
        return cls(matrix=frame.colorspace if known else guess, range=FULL if full else LIMITED, tags=tags)

    @property
    def is_hdr(self) -> bool:
        return self.tags[3] in HDR_CURVES

    def to_rgb(self, frame: VideoFrame, width: int, height: int) -> Array:
        """Return `(height, width, 3)` uint8 RGB."""
        converted = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_swscale(self.matrix),
            src_color_range=self.range if not frame.format.is_rgb else None,
            interpolation=_TO_RGB,
        )
        return np.asarray(converted.to_ndarray(), dtype=np.uint8)

    def to_yuv(self, rgb: Array, pixel_format: str) -> VideoFrame:
        """Return a frame of the tagged colours, ready for an encoder."""
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        if self.matrix == BT2020:
            frame.colorspace = BT2020  # `reformat` takes it over; it knows no number for it
        painted = frame.reformat(
            format=pixel_format,
            dst_colorspace=_swscale(self.matrix),
            dst_color_range=self.range,
            interpolation=_TO_YUV,
        )
        self.tag(painted)
        return painted

    def tag(self, target: Any) -> None:
        """Say on a frame, or on an encoder, what its numbers mean."""
        target.colorspace, target.color_range, target.color_primaries, target.color_trc = self.tags


def evened(rgb: Array) -> Array:
    """Return `(H, W, 3)` with even sides, the last row or column repeated: halved chroma needs them."""
    height, width = rgb.shape[:2]
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _swscale(matrix: int) -> int:
    """Return swscale's number for an AVColorSpace: it has one for both names of BT.601."""
    return BT470BG if matrix == SMPTE170M else matrix
