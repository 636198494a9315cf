"""A film as upright RGB frames with their exact times, one in memory at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from toonlab.inference.film.colour import Array, Colour
from toonlab.inference.film.formats import BadFilmError

# These count from zero, or from what the film was cut at; others from anything (an hour, in a broadcast).
_OWN_CLOCK = ("mov", "mp4", "matroska", "webm", "avi")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFrame:
    """One frame: `(H, W, 3)` uint8 RGB, upright, with its time and duration in the film's time base."""

    rgb: Array
    pts: int
    duration: int


_COUNTED = 2**30
"""Bytes of a film whose frames are counted beforehand; it is read at the disk's speed."""


class FilmSource:
    """Reads a film from its beginning, as often as it is asked to.

    Attributes:
        width: of a painted frame: upright, in stored pixels.
        height: see `width`.
        pixel_aspect: width by height of a pixel, upright.
        rate: frames a second; of a variable rate the mean.
        time_base: seconds a unit of `pts`.
        start: seconds by which the container's clock is behind zero.
        damaged: packets of the last reading that could not be decoded.
        end: seconds at which the last reading ended.

    Raises:
        BadFilmError: the file is none that can be decoded, or has no picture.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.damaged, self.end = path, 0, Fraction(0)
        with opened(path) as container:
            stream = picture_of(container)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.time_base = Fraction(stream.time_base or 1 / self.rate)
            kept = any(name in container.format.name for name in _OWN_CLOCK)
            self.start = Fraction(0) if kept else Fraction(container.start_time or 0, av.time_base)
            self.codec = stream.codec_context.name
            self.declared = _declared(container, stream)
            self._said = stream.frames
            aspect = stream.sample_aspect_ratio
            try:
                first = next(self._decoded(container, stream), None)
            except av.error.FFmpegError as error:
                raise BadFilmError(f"no frame can be decoded ({error.strerror})") from error
        if first is None:
            raise BadFilmError("no frame can be decoded")
        self.colour = Colour.of(first)
        self.has_alpha = any(part.is_alpha for part in first.format.components)
        self.deep = max(part.bits for part in first.format.components) > 8
        self._stored = first.width, first.height
        self._turn = orientation(first)
        sideways = self._turn[0]
        self.width, self.height = self._stored[::-1] if sideways else self._stored
        self.pixel_aspect = 1 / aspect if aspect and sideways else aspect

    def frames(self, skip: int = 0, stopped: Callable[[], bool] = lambda: False) -> Iterator[SourceFrame]:
        """Yield the film's frames behind the first `skip`, which are decoded and no more."""
        self.damaged, last = 0, None
        usual = max(1, round(1 / self.rate / self.time_base))
        shift = round(self.start / self.time_base)
        with opened(self.path) as container:
            stream = picture_of(container)
            stream.thread_type = "AUTO"
            for number, frame in enumerate(self._decoded(container, stream)):
                if stopped():
                    return
                pts = (
                    frame.pts - shift if frame.pts is not None else (last + usual if last is not None else 0)
                )
                if last is not None and last - pts > 2 * usual:
                    # The clock began anew, where films were put one behind another: on from where it was.
                    shift -= last + usual - pts
                    pts = last + usual
                if last is not None and pts <= last:  # no player shows two frames at once
                    pts = last + 1
                last = pts
                duration = frame.duration or usual
                self.end = (pts + duration) * self.time_base
                if number >= skip:
                    yield SourceFrame(rgb=self._upright(frame), pts=pts, duration=duration)

    @cached_property
    def total(self) -> int | None:
        """Frames to expect; None if the film does not say."""
        if self._said:
            return self._said
        if self.path.stat().st_size <= _COUNTED:
            return _counted(self.path)
        seconds = self.declared[0] or self.declared[1]
        return round(seconds * self.rate) if seconds else None

    def missing(self, frames: int, others_end: Fraction) -> str | None:
        """Say what of the film the last reading did not find; None if nothing is missing.

        Args:
            frames: that were read.
            others_end: seconds at which the streams beside the picture end.
        """
        own, whole = self.declared
        should = own if own is not None else whole
        found = self.end if own is not None else max(self.end, others_end)
        gap = float(should - found) if should is not None else 0.0
        said = []
        if gap > max(0.25, 3 / float(self.rate)):
            of = f" of {self.total}" if self.total else ""
            whole_length = f"{float(should or 0):.1f} s"
            said.append(f"the last {gap:.1f} s of {whole_length} are missing ({frames}{of} frames found)")
        if self.damaged and not said:
            said.append(f"{self.damaged} damaged packets could not be decoded")
        return "; ".join(said) or None

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        packets = container.demux(stream)
        failures = 0
        while failures < 1000:  # in a row; behind so much there is no more film
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except av.error.FFmpegError:  # the file ends in the middle
                self.damaged += 1
                return
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1
                failures += 1
                continue
            failures = 0
            yield from frames

    def _upright(self, frame: VideoFrame) -> Array:
        rgb = self.colour.to_rgb(frame, *self._stored)
        sideways, mirrored, upside_down = self._turn
        if sideways:
            rgb = rgb.transpose(1, 0, 2)
        rgb = rgb[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        return np.ascontiguousarray(rgb)


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return what makes a stored frame upright: transpose, then mirror left to right, then top to bottom."""
    sides: Any = frame.side_data
    data = next((each for each in sides if each.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    # x' = a x + c y, y' = b x + d y; only quarter turns and mirrors are films' own.
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a film.

    Raises:
        BadFilmError: the file is none.
    """
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        empty = path.is_file() and path.stat().st_size == 0
        reason = str(getattr(error, "strerror", None) or error)
        raise BadFilmError("empty file" if empty else f"not a film that can be read ({reason})") from error
    with container:
        yield container


def picture_of(container: InputContainer) -> VideoStream:
    """Return a film's moving picture, not its cover.

    Raises:
        BadFilmError: it has none.
    """
    streams = [s for s in container.streams.video if not s.disposition & _COVER]
    if not streams:
        raise BadFilmError("has no moving picture")
    best: Any = container.streams.best("video")
    return best if best in streams else streams[0]


_COVER = av.stream.Disposition.attached_pic


def _counted(path: Path) -> int | None:
    """Count the packets of a film that does not say how many frames it has: its rate may vary."""
    with opened(path) as container:
        try:
            return sum(packet.size > 0 for packet in container.demux(picture_of(container)))
        except av.error.FFmpegError:  # damaged somewhere, which the painting will tell
            return None


def _declared(container: InputContainer, stream: VideoStream) -> tuple[Fraction | None, Fraction | None]:
    """Return how long the picture is, and the longest stream, in seconds, as far as the film says so."""
    base = Fraction(stream.time_base or 1)
    own = stream.duration * base if stream.duration else None
    if tag := stream.metadata.get("DURATION"):  # Matroska's, 00:00:09.500000000; its `duration` is the film's
        hours, minutes, seconds = tag.strip("\0").split(":")
        own = Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    whole = Fraction(container.duration, av.time_base) if container.duration else None
    return own, whole
