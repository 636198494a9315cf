"""Films as upright RGB pictures with square pixels, one frame in memory at a time (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

Array = np.ndarray[Any, np.dtype[Any]]

EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".ogv"}
)
_HD = 720  # rows from which on an untagged film is BT.709, as players assume; swscale would take BT.601
_UNSPECIFIED, _BT709 = 2, 1


class FilmError(ValueError):
    """A film of which no frame can be read; the message says why in a few words."""


class Shape(NamedTuple):
    """What makes a stored frame the picture that is shown."""

    width: int
    height: int
    turns: int


class Film:
    """Reads a film from its beginning, as often as it is asked to.

    `damaged` counts the packets of the last reading that could not be decoded; what follows them is read.

    Raises:
        FilmError: the file is none that can be decoded, or has no picture.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self.path, self.threads, self.damaged = path, threads, 0
        with self._opened() as container:
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or stream.guessed_rate or 25)
            self._aspect = float(stream.sample_aspect_ratio or 1)
            seconds = float(container.duration or 0) / av.time_base
        self.expected = stream.frames or round(seconds * self.fps)

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield (seconds from the start, frame as stored)."""
        self.damaged = 0
        first: float | None = None
        with self._opened() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self.threads
            packets = iter(container.demux(stream))
            number = 0
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        return
                    decoded = packet.decode()
                except av.error.FFmpegError:
                    self.damaged += 1
                    if packet is None or self.damaged > self.expected + 1000:
                        return
                    continue
                for frame in decoded:
                    assert isinstance(frame, VideoFrame)  # noqa: S101 (for mypy: the stream is a video's)
                    seconds = frame.time if frame.time is not None else number / self.fps
                    first = seconds if first is None else first
                    number += 1
                    yield max(0.0, seconds - first), frame

    def shape(self, frame: VideoFrame) -> Shape:
        """Return the size at which a frame is shown before it is turned, and quarter turns to the left."""
        aspect = self._aspect if 0.1 < self._aspect < 10 else 1.0
        wide, high = max(aspect, 1.0), max(1 / aspect, 1.0)  # never smaller: no line is lost
        turns = round(frame.rotation / 90) % 4
        return Shape(round(frame.width * wide), round(frame.height * high), turns)

    def picture(self, frame: VideoFrame, *, side: int | None = None, grey: bool = False) -> Array:
        """Return a frame as `(H, W, 3)` uint8 RGB, or `(H, W)` grey, upright and with square pixels.

        Args:
            frame: of this film.
            side: pixels of the longer side; None keeps the film's own size.
            grey: luma alone, full range.
        """
        width, height, turns = self.shape(frame)
        if side is not None and side < max(width, height):
            factor = side / max(width, height)
            width, height = max(2, round(width * factor)), max(2, round(height * factor))
        # Through RGB for grey as well: a grey format would keep the narrow range of the film's luma.
        array = frame.to_ndarray(
            width=width,
            height=height,
            format="rgb24",
            interpolation="AREA" if side else "LANCZOS",
            src_colorspace=_BT709 if frame.colorspace == _UNSPECIFIED and frame.height >= _HD else None,
        )
        if turns:
            array = np.rot90(array, turns)
        return cv2.cvtColor(array, cv2.COLOR_RGB2GRAY) if grey else np.ascontiguousarray(array)

    def _opened(self) -> av.container.InputContainer:
        try:
            container = av.open(str(self.path), metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            empty = self.path.is_file() and self.path.stat().st_size == 0
            raise FilmError("empty file" if empty else str(error.strerror or error)) from error
        if not container.streams.video:
            container.close()
            raise FilmError("has no picture")
        return container
