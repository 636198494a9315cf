"""Films of some frames, written by the tests themselves, and what can be read of a film."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def picture(number: int, width: int, height: int) -> np.ndarray[Any, Any]:
    """Red left, blue right, green above; a white bar that moves on with each frame."""
    shown = np.empty((height, width, 3), np.uint8)
    shown[:, : width // 2], shown[:, width // 2 :] = (200, 40, 30), (30, 40, 200)
    shown[: height // 3] = (20, 180, 60)
    shown[height // 2 : height // 2 + 4, number % width : number % width + 4] = 255
    return shown


def film(
    path: Path,
    frames: int = 12,
    size: tuple[int, int] = (32, 24),
    *,
    rate: int | Fraction = 10,
    codec: str = "libx264",
    sound: Sequence[str] = ("aac",),
    pts: Sequence[int] | None = None,
    base: Fraction | None = None,
    turn: tuple[float, bool, bool] | None = None,
    tags: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    pictures: Sequence[np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Write a film of `picture`s with sine tones; `pts` counts in `base`."""
    shown = pictures or [picture(i, *size) for i in range(frames)]
    with av.open(str(path), "w", options=options or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        context = stream.codec_context
        context.time_base = base or 1 / Fraction(rate)
        if turn:
            stream.set_display_rotation(*turn)
        if aspect:
            context.sample_aspect_ratio = aspect
        if tags:
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        tones = [_tone(out, name, 440 * (i + 1), len(shown) / float(rate)) for i, name in enumerate(sound)]
        for number, each in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(each, "rgb24")
            if tags:
                frame = frame.reformat(format=pixels, dst_colorspace=tags[0], dst_color_range=tags[1] or 1)
            frame.pts, frame.time_base = (pts[number] if pts else number), context.time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for tone in tones:
            for packet in tone:
                out.mux(packet)
    return path


def _tone(out: Any, codec: str, pitch: int, seconds: float) -> Any:
    rate = 48000 if codec == "libopus" else 44100
    stream = out.add_stream(codec, rate=rate, layout="mono")

    def packets() -> Any:
        times = np.arange(round(seconds * rate)) / rate
        wave = av.AudioFrame.from_ndarray(
            (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)[None], "fltp", "mono"
        )
        wave.sample_rate, wave.pts = rate, 0
        context = stream.codec_context
        if not context.is_open:
            context.open()
        resampler = av.AudioResampler(context.format, "mono", rate, context.frame_size or None)
        for frame in [*resampler.resample(wave), *resampler.resample(None)]:
            yield stream.encode(frame)
        yield stream.encode(None)

    return packets()


def decoded(path: Path) -> list[np.ndarray[Any, Any]]:
    """Every frame as RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    """Seconds of every frame."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction, bytes]]:
    """Seconds and bytes of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[number]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]
