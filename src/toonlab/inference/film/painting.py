"""Film in, painted film out: segment after segment, so that what is done stays done."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import torch

from toonlab import images
from toonlab.digests import file_sha256
from toonlab.errors import UsageError
from toonlab.inference.film import identity
from toonlab.inference.film.colour import Array
from toonlab.inference.film.encoding import Encoding, SegmentWriter
from toonlab.inference.film.formats import WRITTEN, parts_of
from toonlab.inference.film.interrupts import asked_to_stop
from toonlab.inference.film.joining import Joined, join
from toonlab.inference.film.parts import Parts, Segment
from toonlab.inference.film.reading import FilmSource, SourceFrame
from toonlab.inference.film.temporal import Stabiliser, stabiliser
from toonlab.inference.stylizer import Stylizer

OnFrame = Callable[[int, int | None], None]
"""Called with (frames done, frames in all, if the film says so)."""

_LONGEST = 240  # frames a segment, whatever the rate
_MANY = 8  # frames painted at once on a GPU, as far as their pixels are few
_PIXELS = 2**21  # of those frames together


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOutcome:
    """What became of a film.

    Attributes:
        target: the painted film; it plays, whatever happened.
        frames: in it.
        total: that the source promised; None if it did not.
        resumed: frames that an earlier run had painted.
        interrupted: by Ctrl-C; the same call goes on.
        missing: what could not be decoded, in words; None if all could.
        notes: what else to know, a line each.
    """

    target: Path
    frames: int
    total: int | None
    resumed: int
    interrupted: bool
    missing: str | None
    notes: tuple[str, ...]


def paint_film(
    stylizer: Stylizer,
    source: Path,
    target: Path,
    *,
    temporal: str = "none",
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
    encoding: Encoding | None = None,
) -> FilmOutcome:
    """Paint a film with its sound, subtitles and times.

    Its segments lie in `<target>.part` until all are there; a run that was killed goes on behind the last.
    After Ctrl-C the target holds what is done.

    Args:
        stylizer: paints.
        source: any film that FFmpeg reads.
        target: .mp4, .m4v, .mov, .mkv or .webm.
        temporal: `none`, or `flow` against flicker.
        overwrite: paint anew what is there, and throw away segments of other settings.
        on_frame: is told of each frame.
        encoding: how it is written.

    Raises:
        BadFilmError: the source cannot be decoded.
        UsageError: the target cannot be written as asked, is there already, or was begun with other settings.
    """
    encoding = encoding or Encoding()
    folder = parts_of(target)
    if target.suffix.lower() not in WRITTEN:
        raise UsageError(f"output={target}: films are written as {' '.join(sorted(WRITTEN))}")
    if target.exists() and target.resolve() == source.resolve():
        raise UsageError(f"output={target} is the film itself: name another")
    if target.exists() and not overwrite and not folder.exists():
        raise UsageError(f"output={target} is there already: name another, or say overwrite=true")
    film = FilmSource(source)
    codec = encoding.chosen(film.codec, target)
    about = _about(stylizer, source, temporal, encoding, codec)
    with Parts(folder, about, anew=overwrite) as parts, asked_to_stop() as stopped:
        resumed = parts.frames
        job = _Job(stylizer, film, parts, stabiliser(temporal), encoding, codec, stopped, on_frame)
        partial = job.paint()
        segments = [*parts.segments, *([partial] if partial else [])]
        if not segments:
            return _outcome(film, target, 0, resumed, True, None, [])
        made = folder / f"joined{target.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        until = Fraction(segments[-1].pts[-1] + segments[-1].duration) * film.time_base if stopped() else None
        try:
            joined = join(segments, film, made, until=until)
        except av.error.FFmpegError as error:
            made.unlink(missing_ok=True)
            raise UsageError(
                f"output={target}: sound and picture cannot be joined ({error.strerror}); what is painted is "
                f"kept in {folder}"
            ) from error
        made.replace(target)
        frames = sum(len(segment.pts) for segment in segments)
        if not stopped():
            parts.remove()
        return _outcome(film, target, frames, resumed, stopped(), joined, _notes(film, encoding))


@dataclasses.dataclass
class _Job:
    """What painting one film needs."""

    stylizer: Stylizer
    film: FilmSource
    parts: Parts
    stabiliser: Stabiliser | None
    encoding: Encoding
    codec: str
    stopped: Callable[[], bool]
    on_frame: OnFrame | None

    def paint(self) -> Segment | None:
        """Paint what is not yet painted; return a last segment that Ctrl-C cut short, if any."""
        done = self.parts.frames
        if self.stabiliser and done:
            self.stabiliser.restore(self.parts.state or {})
        self._tell(done)
        frames = self.film.frames(done, self.stopped)
        length = min(max(1, round(self.encoding.segment * self.film.rate)), _LONGEST)
        while first := next(frames, None):
            part = itertools.chain([first], itertools.islice(frames, length - 1))
            segment = self._segment(part, done)
            if self.stopped() and len(segment.pts) < length:
                return segment
            done += len(segment.pts)
            state = self.stabiliser.state() if self.stabiliser else None
            self.parts.keep(pts=segment.pts, order=segment.order, duration=segment.duration, state=state)
        return None

    def _segment(self, frames: Iterator[SourceFrame], done: int) -> Segment:
        writer = SegmentWriter(
            self.parts.unfinished(),
            encoding=self.encoding,
            codec=self.codec,
            rate=self.film.rate,
            aspect=self.film.pixel_aspect,
            colour=self.film.colour,
        )
        times: list[int] = []
        duration = 0
        try:
            while batch := list(itertools.islice(frames, self._at_once())):
                for frame, painted in zip(batch, self._painted(batch), strict=True):
                    writer.write(painted)
                    times.append(frame.pts)
                    duration = frame.duration
                self._tell(done + len(times))
                if self.stopped():
                    break
        finally:
            writer.close()
        return Segment(writer.path, times, writer.order, duration)

    def _painted(self, batch: list[SourceFrame]) -> Iterator[Array]:
        photos = torch.stack([torch.from_numpy(frame.rgb).permute(2, 0, 1) for frame in batch])
        cartoons = images.to_uint8(self.stylizer.paint(images.from_uint8(photos)))
        for frame, cartoon in zip(
            batch, cartoons.permute(0, 2, 3, 1).contiguous().cpu().numpy(), strict=True
        ):
            yield self.stabiliser.steady(frame.rgb, cartoon) if self.stabiliser else cartoon

    def _at_once(self) -> int:
        if self.stylizer.device.type == "cpu":
            return 1  # no faster together, and Ctrl-C would wait for all
        return max(1, min(_MANY, _PIXELS // (self.film.width * self.film.height)))

    def _tell(self, done: int) -> None:
        if self.on_frame:
            self.on_frame(done, self.film.total)


def _about(stylizer: Stylizer, source: Path, temporal: str, encoding: Encoding, codec: str) -> dict[str, str]:
    return {
        "source": file_sha256(source),
        **identity.of_stylizer(stylizer),
        "temporal": temporal,
        **{key: str(value) for key, value in dataclasses.asdict(encoding).items()},
        "codec": codec,
        "PyAV": av.__version__,
    }


def _notes(film: FilmSource, encoding: Encoding) -> list[str]:
    notes = []
    if encoding.pixels == "yuv420p" and (film.width % 2 or film.height % 2):
        size = f"{film.width + film.width % 2}x{film.height + film.height % 2}"
        notes.append(
            f"{film.width}x{film.height} became {size}, its edge repeated, which yuv420p needs: "
            f"pixels=yuv444p keeps the size, but not every player shows it"
        )
    if film.colour.is_hdr:
        notes.append("high dynamic range painted as if it were standard, in 8 bits: banding may show")
    elif film.deep:
        notes.append("painted in 8 bits")
    if film.has_alpha:
        notes.append("its transparency is lost")
    return notes


def _outcome(
    film: FilmSource,
    target: Path,
    frames: int,
    resumed: int,
    interrupted: bool,
    joined: Joined | None,
    notes: list[str],
) -> FilmOutcome:
    missing = None
    if not interrupted and joined:
        missing = film.missing(frames, joined.end)
        notes = [*notes, *joined.notes]
    return FilmOutcome(
        target=target,
        frames=frames,
        total=film.total,
        resumed=resumed,
        interrupted=interrupted,
        missing=missing,
        notes=tuple(notes),
    )
