"""Frames as they come: painted, shown, and recorded with the moments at which they were taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from toonlab.inference.film.colour import Array, Colour, evened
from toonlab.inference.film.encoding import CODECS
from toonlab.inference.film.formats import WRITTEN
from toonlab.inference.film.temporal import Stabiliser
from toonlab.inference.stylizer import Stylizer

_BASE = Fraction(1, 1000)
_TAGGED = Colour(matrix=1, range=1, tags=(1, 1, 1, 1))  # BT.709, limited, and says so


def live(
    frames: Iterable[Array],
    stylizer: Stylizer,
    show: Callable[[Array, float], bool],
    *,
    side: int | None,
    stabiliser: Stabiliser | None = None,
    recorder: Recorder | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Paint frames `(H, W, 3)` uint8 RGB until they end or nobody wants more; return how many.

    Args:
        frames: of one size.
        stylizer: paints.
        show: gets each painted frame and the frames a second of late; False ends it.
        side: pixels of the longer side at which is painted at most; None paints frames as they are.
        stabiliser: against flicker.
        recorder: keeps what is shown.
        clock: gives seconds.
    """
    count, rate, before = 0, 0.0, clock()
    for frame in frames:
        photo = _smaller(frame, side)
        painted = stylizer.paint_array(photo)
        if stabiliser:
            painted = stabiliser.steady(photo, painted)
        now = clock()
        rate += (1 / max(now - before, 1e-6) - rate) / min(count + 1, 10)
        before, count = now, count + 1
        if recorder:
            recorder.write(painted, now)
        if not show(painted, rate):
            break
    return count


class Recorder:
    """Writes frames with their own times, in a file that plays even if it is not closed.

    Use `close` all the same.
    """

    def __init__(self, path: Path, *, crf: int | None = None) -> None:
        self.path, self._crf = path, crf
        path.parent.mkdir(parents=True, exist_ok=True)
        muxer = WRITTEN[path.suffix.lower()]
        options = {} if muxer == "matroska" else {"movflags": "frag_keyframe+empty_moov"}
        self._container = av.open(str(path), "w", format=muxer, options=options)
        self._stream: Any = None
        self._first, self._last = 0.0, -1

    def write(self, rgb: Array, seconds: float) -> None:
        """Add a frame `(H, W, 3)` of some moment."""
        rgb = evened(rgb)
        if self._stream is None:
            self._open(rgb.shape[1], rgb.shape[0])
            self._first = seconds
        frame = _TAGGED.to_yuv(rgb, "yuv420p")
        self._last = max(self._last + 1, round((seconds - self._first) / _BASE))
        frame.pts, frame.time_base = self._last, _BASE
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def _open(self, width: int, height: int) -> None:
        codec = CODECS["h264"]
        crf = codec.crf if self._crf is None else self._crf
        options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency", "g": "60"}
        stream: Any = self._container.add_stream(codec.encoder, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = _BASE
        _TAGGED.tag(context)
        self._stream = stream


def _smaller(frame: Array, side: int | None) -> Array:
    factor = (side or max(frame.shape)) / max(frame.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(frame)
    height, width = (max(1, round(n * factor)) for n in frame.shape[:2])
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
