"""Segments, and the source's sound and subtitles, to one film: packet by packet, nothing encoded twice."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import OutputContainer

from toonlab.inference.film.formats import WRITTEN
from toonlab.inference.film.parts import Segment
from toonlab.inference.film.reading import FilmSource, opened, picture_of
from toonlab.inference.film.sound import Copied, Track, tracks


class Joined(NamedTuple):
    """What became of the streams beside the picture.

    Attributes:
        notes: of those that could not be copied as they are, in words.
        end: seconds at which the last of their packets ends.
    """

    notes: list[str]
    end: Fraction


def join(segments: Sequence[Segment], source: FilmSource, target: Path, *, until: Fraction | None) -> Joined:
    """Write `segments` with all that the source has beside its picture.

    Args:
        segments: at least one.
        source: times are its own: sound and picture stay where they were.
        target: overwritten.
        until: seconds at which sound and subtitles are cut; None copies all.
    """
    with opened(source.path) as film, _created(target) as out:
        with av.open(str(segments[0].path)) as first:
            picture = _picture(out, first.streams.video[0], target)
        picture.time_base = source.time_base
        picture.metadata.update(_tags(picture_of(film).metadata))
        out.metadata.update(_tags(film.metadata))
        if chapters := film.chapters():
            out.set_chapters(chapters)
        beside, notes = tracks(film, out, source.start)
        out.start_encoding()
        copied = Copied()
        merged = heapq.merge(
            _frames(segments, picture, source.time_base),
            _others(film, beside, until, copied),
            key=lambda timed: timed[0],
        )
        for _, packet in merged:
            out.mux_one(packet)
    return Joined([*notes, *copied.notes(source.path)], copied.end)


def decoding_times(segments: Sequence[Segment]) -> list[list[int]]:
    """Return the segments' DTS: shown times in order, as many frames early as the encoder reorders."""
    shown = [pts for segment in segments for pts in segment.pts]
    delay = max(_delay(segment.order) for segment in segments)
    step = max(1, shown[min(delay, len(shown) - 1)] - shown[0]) if delay else 0
    early = [shown[0] - step + step * i // max(delay, 1) for i in range(delay)]
    line = iter([*early, *shown])
    return [[next(line) for _ in segment.pts] for segment in segments]


def _delay(order: Sequence[int]) -> int:
    return max((place - number for place, number in enumerate(order)), default=0)


def _frames(segments: Sequence[Segment], stream: Any, base: Fraction) -> Iterator[tuple[float, Any]]:
    end = segments[-1].pts[-1] + segments[-1].duration
    nexts = [*(segment.pts[0] for segment in segments[1:]), end]
    for segment, dts, after in zip(segments, decoding_times(segments), nexts, strict=True):
        ends = [*segment.pts[1:], after]
        with av.open(str(segment.path)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for number, time, packet in zip(segment.order, dts, packets, strict=True):
                packet.stream, packet.time_base = stream, base
                packet.pts, packet.dts = segment.pts[number], time
                packet.duration = ends[number] - segment.pts[number]
                yield float(time * base), packet


def _others(
    film: Any, beside: dict[int, Track], until: Fraction | None, copied: Copied
) -> Iterator[tuple[float, Any]]:
    if not beside:
        return
    packets = film.demux([track.source for track in beside.values()])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            copied.ended(error)
            break
        if packet is None:
            break
        if packet.size:  # empty ones mark the end, of no stream in particular
            yield from beside[packet.stream_index].copies(packet, until, copied)
    for track in beside.values():
        yield from track.rest(until, copied)


def _picture(out: OutputContainer, template: Any, target: Path) -> Any:
    stream = out.add_stream_from_template(template, opaque=True)
    if template.codec_context.name == "hevc" and target.suffix.lower() != ".mkv":
        stream.codec_context.codec_tag = "hvc1"  # Apple's players know HEVC by no other name
    return stream


def _created(target: Path) -> OutputContainer:
    muxer = WRITTEN[target.suffix.lower()]
    # The index first, so that a browser can begin before all is there.
    options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
    return av.open(str(target), "w", format=muxer, options=options)


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    # What describes the old container or the old packets would be wrong of the new one.
    own = {
        "encoder",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "duration",
        "handler_name",
        "rotate",
    }
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in own and not key.lower().startswith(("number_of_", "_statistics", "bps"))
    }
