"""The streams beside the picture: copied where the container holds them, else made anew or named as lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer

from toonlab.inference.film.reading import picture_of

Timed = tuple[float, Any]


@dataclasses.dataclass
class Copied:
    """What was found while copying."""

    end: Fraction = Fraction(0)
    lost: int = 0
    broken: str = ""

    def ended(self, error: av.error.FFmpegError) -> None:
        """Note that the source cannot be read any further."""
        self.broken = str(error.strerror)

    def notes(self, source: Path) -> list[str]:
        """Return what a user should know, a line each."""
        found = [f"{source.name}: sound cannot be read to its end ({self.broken})"] if self.broken else []
        if self.lost:
            found.append(f"{source.name}: {self.lost} packets of sound cannot be decoded and are left out")
        return found


class Track:
    """A stream that goes into the new container as it is."""

    def __init__(self, source: Any, target: Any, start: Fraction) -> None:
        self.source, self.target = source, target
        self._shift = round(start / source.time_base)
        self._last: tuple[int, int] | None = None  # time and duration of the packet before

    def copies(self, packet: Any, until: Fraction | None, copied: Copied) -> Iterator[Timed]:
        """Yield (seconds, packet for the target) of a packet of the source's."""
        if packet.dts is None:
            return
        base = Fraction(packet.time_base)
        pts = packet.pts if packet.pts is not None else packet.dts
        if self._last and packet.dts - self._shift < self._last[0]:
            # The clock runs backwards, where streams were put one behind another: on from where it was.
            self._shift = packet.dts - sum(self._last)
        packet.pts, packet.dts = pts - self._shift, packet.dts - self._shift
        self._last = packet.dts, packet.duration or 0
        if until is not None and packet.pts * base >= until:
            return
        copied.end = max(copied.end, (packet.pts + (packet.duration or 0)) * base)
        time = float(packet.dts * base)
        packet.stream = self.target
        yield time, packet

    def rest(self, until: Fraction | None, copied: Copied) -> Iterator[Timed]:
        """Yield what is left at the end."""
        yield from ()


class Encoded(Track):
    """Sound that the container cannot hold as it is."""

    def __init__(self, source: Any, target: Any, start: Fraction) -> None:
        super().__init__(source, target, start)
        self._resampler: AudioResampler | None = None

    def copies(self, packet: Any, until: Fraction | None, copied: Copied) -> Iterator[Timed]:
        """See `Track.copies`; None gives what the decoder still holds."""
        try:
            frames = self.source.decode(packet)
        except av.error.FFmpegError:
            copied.lost += 1
            return
        for frame in frames:
            seconds = frame.pts * Fraction(frame.time_base) - self._shift * Fraction(self.source.time_base)
            if until is not None and seconds >= until:
                continue
            copied.end = max(copied.end, seconds + Fraction(frame.samples, frame.sample_rate))
            frame.pts, frame.time_base = round(seconds * frame.sample_rate), Fraction(1, frame.sample_rate)
            yield from self._encoded(frame)

    def rest(self, until: Fraction | None, copied: Copied) -> Iterator[Timed]:
        """See `Track.rest`."""
        yield from self.copies(None, until, copied)
        if self._resampler is not None:
            yield from self._encoded(None)
            yield from self._timed(self.target.encode(None))

    def _encoded(self, frame: Any) -> Iterator[Timed]:
        if self._resampler is None:
            context = self.target.codec_context
            if not context.is_open:
                context.open()
            self._resampler = AudioResampler(
                context.format, context.layout, context.rate, context.frame_size or None
            )
        for ready in self._resampler.resample(frame):
            yield from self._timed(self.target.encode(ready))

    def _timed(self, packets: list[Any]) -> Iterator[Timed]:
        for packet in packets:
            yield float(packet.dts * packet.time_base), packet


def tracks(film: InputContainer, out: OutputContainer, start: Fraction) -> tuple[dict[int, Track], list[str]]:
    """Prepare every stream of `film` but its picture in `out`.

    Returns:
        Tracks by the number of their stream, and what became of those that are no copies.
    """
    found: dict[int, Track] = {}
    notes: list[str] = []
    picture = picture_of(film).index
    for stream in film.streams:
        kind: str = stream.type
        if kind == "attachment":
            _attach(stream, out, notes)
        elif kind in ("audio", "subtitle") and stream.codec_context is None:
            notes.append(f"{kind} of an unknown codec left out")
        elif kind == "audio":
            found[stream.index] = _audio(stream, out, start, notes)
        elif kind == "subtitle":
            try:
                found[stream.index] = Track(stream, _template(stream, out), start)
            except ValueError:
                notes.append(
                    f"{stream.codec_context.name} subtitles left out, which the container cannot hold"
                )
        elif kind == "data":
            notes.append("a data stream (time code, position, …) left out")
        elif kind == "video" and stream.disposition & av.stream.Disposition.attached_pic:
            notes.append("the cover picture left out")
        elif kind == "video" and stream.index != picture:
            notes.append("a second moving picture left out")
    return found, notes


def _audio(stream: Any, out: OutputContainer, start: Fraction, notes: list[str]) -> Track:
    try:
        return Track(stream, _template(stream, out), start)
    except ValueError:
        codec = "libopus" if out.format.name == "webm" else "aac"
        context = stream.codec_context
        rate = 48000 if codec == "libopus" else context.rate
        made = out.add_stream(codec, rate=rate, layout=context.layout.name)
        made.codec_context.bit_rate = 96_000 * max(1, context.layout.nb_channels)
        _describe(stream, made)
        notes.append(f"{context.name} sound encoded anew as {codec}: output=….mkv copies it")
        return Encoded(stream, made, start)


def _template(stream: Any, out: OutputContainer) -> Any:
    made = out.add_stream_from_template(stream)
    _describe(stream, made)
    return made


def _describe(stream: Any, made: Any) -> None:
    made.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
    made.disposition = stream.disposition


def _attach(stream: Any, out: OutputContainer, notes: list[str]) -> None:
    if out.format.name != "matroska":
        notes.append(f"attachment {stream.name or ''} left out: output=….mkv keeps it")
        return
    out.add_attachment(
        stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
    )
