"""How painted frames are compressed, and one segment of them as a file."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from torch.backends.cpu import get_cpu_capability

from toonlab.errors import UsageError, check_choice
from toonlab.inference.film.colour import Array, Colour, evened

PIXELS = ("yuv420p", "yuv444p")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Codec:
    """An encoder: its name, usual `crf` (None: it has none), options, and containers that hold its work."""

    encoder: str
    crf: int | None
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    containers: frozenset[str] = frozenset({".mp4", ".m4v", ".mov", ".mkv"})
    pixels: tuple[str, ...] = PIXELS


# At many widths x264's AVX-512 code takes what it finds in memory: two codings of one film differ by some 15
# levels. Without it they are equal, and take as long. Named only where the processor has it for sure.
_X264 = {"x264-params": "asm=AVX2,FMA3,LZCNT,BMI1,BMI2"} if get_cpu_capability() == "AVX512" else {}
_WEB = frozenset({".webm", ".mkv", ".mp4", ".m4v"})
CODECS = {
    "h264": Codec(encoder="libx264", crf=18, options=_X264),
    "hevc": Codec(encoder="libx265", crf=20, options={"x265-params": "log-level=error"}),
    "vp9": Codec(
        encoder="libvpx-vp9", crf=24, options={"b": "0", "row-mt": "1", "cpu-used": "4"}, containers=_WEB
    ),
    "vp8": Codec(
        encoder="libvpx",
        crf=8,
        options={"b": "8M", "cpu-used": "4"},
        containers=frozenset({".webm", ".mkv"}),
        pixels=("yuv420p",),
    ),
    "av1": Codec(encoder="libsvtav1", crf=24, options={"preset": "8"}, containers=_WEB, pixels=("yuv420p",)),
    "mpeg4": Codec(encoder="mpeg4", crf=None, pixels=("yuv420p",)),
    "mjpeg": Codec(encoder="mjpeg", crf=None, containers=frozenset({".mov", ".mkv"})),
    "ffv1": Codec(encoder="ffv1", crf=None, containers=frozenset({".mkv"})),
}
_FINE = 3  # the quantiser of codecs without crf, of 1 (best) to 31


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a painted film is written.

    Attributes:
        codec: `auto` (H.264; VP9 in .webm), `source`, or one of `CODECS`.
        crf: quality, less is better; None takes the codec's usual.
        pixels: `yuv420p`, which everything plays and which has even sides, or `yuv444p`.
        segment: seconds of film that are kept at a time; a killed run loses no more.
    """

    codec: str = "auto"
    crf: int | None = None
    pixels: str = "yuv420p"
    segment: float = 2.0

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            UsageError: one is unknown or out of range.
        """
        check_choice("codec", self.codec, ("auto", "source", *CODECS))
        check_choice("pixels", self.pixels, PIXELS)
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"crf={self.crf} is not in 0…63: 18 is fine, less is better and larger")
        if not 0.1 <= self.segment <= 60:
            raise UsageError(f"segment={self.segment}: name seconds between 0.1 and 60")

    def chosen(self, source: str, target: Path) -> str:
        """Return the codec for a target, given the name of the source's.

        Raises:
            UsageError: it cannot be written, or not into that container.
        """
        suffix = target.suffix.lower()
        name = {"auto": "vp9" if suffix == ".webm" else "h264", "source": source}.get(self.codec, self.codec)
        name = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9", "libvpx": "vp8"}.get(name, name)
        if name not in CODECS:
            raise UsageError(
                f"codec=source: {name} cannot be written; leave codec out (H.264), or codec=hevc"
            )
        codec = CODECS[name]
        if suffix not in codec.containers:
            raise UsageError(
                f"{target.name} cannot hold {name}: name the output {' or '.join(sorted(codec.containers))}"
            )
        if self.pixels not in codec.pixels:
            raise UsageError(f"pixels={self.pixels}: {name} is written as {' or '.join(codec.pixels)}")
        if codec.crf is None and self.crf is not None:
            raise UsageError(f"crf={self.crf}: {name} has no crf; leave it out")
        return name


class SegmentWriter:
    """Writes frames of one size, numbered from 0, as a film of its own.

    Their times are not in it: whoever joins segments knows them. Use `close`, or nothing is complete.

    Attributes:
        order: numbers of the frames in the order in which the encoder gave them out.
    """

    def __init__(
        self,
        path: Path,
        *,
        encoding: Encoding,
        codec: str,
        rate: Fraction,
        aspect: Fraction | None,
        colour: Colour,
    ) -> None:
        self.path, self.colour, self.order = path, colour, list[int]()
        self._encoding, self._codec, self._aspect = encoding, CODECS[codec], aspect
        # Some encoders count in 16 bits; and a container in milliseconds must tell the frames apart.
        rate = Fraction(min(rate, Fraction(240))).limit_denominator(1001)
        self._rate = rate if rate.numerator < 65536 and rate > 0 else Fraction(max(1, round(rate)))
        self._container = av.open(str(path), "w", format="matroska")
        self._stream: Any = None
        self._count = 0

    def write(self, rgb: Array) -> None:
        """Add a frame `(H, W, 3)`; odd sides get one more row or column where the pixels want even ones."""
        if self._encoding.pixels == "yuv420p":
            rgb = evened(rgb)
        if self._stream is None:
            self._open(rgb.shape[1], rgb.shape[0])
        frame = self.colour.to_yuv(rgb, self._encoding.pixels)
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self.order.append(round(packet.pts * packet.time_base * self._rate))
            self._container.mux_one(packet)

    def _open(self, width: int, height: int) -> None:
        codec, crf = self._codec, self._encoding.crf
        options = dict(codec.options)
        if codec.crf is not None:
            options["crf"] = str(codec.crf if crf is None else crf)
        stream: Any = self._container.add_stream(codec.encoder, rate=self._rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, self._encoding.pixels
        context = stream.codec_context
        context.time_base = 1 / self._rate
        if self._aspect:
            context.sample_aspect_ratio = self._aspect
        self.colour.tag(context)
        if codec.encoder in ("mpeg4", "mjpeg"):
            context.qmin, context.qmax = 1, _FINE
            context.bit_rate = 100_000_000
        self._stream = stream
