"""From an uploaded file to what the page shows and hands out."""

from __future__ import annotations

import base64
import binascii
import io
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image, ImageOps

from toonlab import images
from toonlab.app.serving.limits import FORMATS, check_film, check_picture
from toonlab.app.serving.room import Room
from toonlab.app.serving.shelf import Shelf, Wish
from toonlab.errors import UsageError
from toonlab.heap import give_back
from toonlab.inference.film import paint_film

OnPart = Callable[[int, int | None], None]
KINDS = {"PNG": ".png", "JPEG": ".jpg"}
PATIENCE = 30.0
"""Seconds that an ending server waits for the last tile or frame."""


class Painted(NamedTuple):
    """Files of a painted picture."""

    before: Path
    after: Path
    full: Path
    line: str


class Studio:
    """Does the jobs of the page.

    Args:
        cfg: of `conf/serve.yaml`.
        shelf: the networks.
        room: where results go.
    """

    def __init__(self, cfg: DictConfig, shelf: Shelf, room: Room) -> None:
        self.cfg, self.shelf, self.room = cfg, shelf, room
        self._ending, self._picturing, self._filming = False, threading.Lock(), threading.Lock()

    def end(self) -> None:
        """Let jobs give up at their next part, and wait until none writes into the room."""
        self._ending = True
        until = time.monotonic() + PATIENCE
        for busy in (self._picturing, self._filming):
            if busy.acquire(timeout=max(0.0, until - time.monotonic())):
                busy.release()

    def picture(self, source: Path, wish: Wish, kind: str, on_part: OnPart) -> Painted:
        """Paint an uploaded picture at full size.

        Raises:
            UsageError, BadImageError: it cannot be painted; the message says why and names no path.
        """
        if kind not in ("auto", *KINDS):
            raise UsageError(f"no such format: {kind}; use auto, {', '.join(KINDS)}")
        check_picture(source, max_pixels=self.cfg.max_pixels)
        stylizer = self.shelf.stylizer(wish)
        begun = time.monotonic()
        guarded = self._timed(on_part)
        guarded(0, None)
        folder = self.room.folder()
        suffix = KINDS.get(kind) or (".jpg" if source.suffix.lower() in (".jpg", ".jpeg") else ".png")
        full = folder / f"{plain_name(source)}-cartoon{suffix}"
        try:
            with self._picturing:
                stylizer.paint_file(source, full, guarded)
        except UsageError as error:
            raise UsageError(str(error).replace(f"{source.parent}/", "").replace(f"{folder}/", "")) from error
        seconds = time.monotonic() - begun
        before = self._preview(source, folder / "before.jpg")
        after = self._preview(full, folder / "after.jpg")
        give_back()
        with Image.open(full) as painted:
            width, height = painted.size  # upright, as a header alone does not say
        return Painted(before, after, full, f"{width} by {height} pixels in {seconds:.1f} s")

    def film(
        self, source: Path, wish: Wish, temporal: str, on_part: OnPart, stopped: Callable[[], bool]
    ) -> tuple[Path, str]:
        """Paint an uploaded film, unless it is `stopped`, which is asked at every frame.

        Raises:
            UsageError: it cannot be painted; the message says why and names no path.
        """
        check_film(source, max_pixels=self.cfg.max_pixels, max_frames=self.cfg.max_frames)
        stylizer = self.shelf.stylizer(wish)
        begun = time.monotonic()
        folder = self.room.folder()
        target = folder / f"{plain_name(source)}-cartoon.mp4"
        on_frame = self._timed(on_part, stopped)
        try:
            with self._filming:
                on_frame(0, None)
                outcome = paint_film(stylizer, source, target, temporal=temporal, on_frame=on_frame)
        except ValueError as error:  # UsageError and BadFilmError
            line = (str(error).splitlines() or ["the film cannot be painted"])[0]
            raise UsageError(line.replace(f"{source.parent}/", "").replace(f"{folder}/", "")) from error
        # Of a film that is damaged after its beginning.
        lacks = f"; {outcome.missing}" if outcome.missing else ""
        return target, f"painted in {time.monotonic() - begun:.0f} s{lacks}"

    def frame(self, photo: Image.Image, wish: Wish) -> NDArray[np.uint8]:
        """Paint one frame of a camera, made small; returns `(H, W, 3)`."""
        photo.thumbnail((self.cfg.camera_side, self.cfg.camera_side), Image.Resampling.BILINEAR)
        cartoon = self.shelf.stylizer(wish).paint(images.to_tensor(photo)[None])[0]
        return images.to_array(cartoon)

    def _timed(self, on_part: OnPart, stopped: Callable[[], bool] = lambda: False) -> OnPart:
        end = time.monotonic() + self.cfg.time_limit

        def guarded(done: int, parts: int | None) -> None:
            if self._ending:
                raise UsageError("the server was ended")
            if stopped():
                raise UsageError("stopped; nothing of it was kept")
            if time.monotonic() > end:
                raise UsageError(
                    f"stopped after {self.cfg.time_limit:g} s, the limit of this page: try a smaller one"
                )
            on_part(done, parts)

        return guarded

    def _preview(self, source: Path, target: Path) -> Path:
        page = images.on_white(images.decode(source))
        page.thumbnail((self.cfg.preview,) * 2, Image.Resampling.LANCZOS, reducing_gap=3.0)
        images.save(page, target, quality=90, subsampling=0)
        return target


def frame_of(url: str, *, max_pixels: int) -> Image.Image:
    """Decode a camera's frame, `data:image/…;base64,…`.

    Raises:
        UsageError: it is none.
    """
    head, _, body = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise UsageError("not a frame of a camera")
    try:
        with Image.open(io.BytesIO(base64.b64decode(body, validate=True)), formats=FORMATS) as opened:
            if opened.width * opened.height > max_pixels:
                raise UsageError("the camera's frames are too large for this page")
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, binascii.Error, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError("not a frame of a camera") from error


def plain_name(source: Path) -> str:
    """Return a file's name without its suffix, of letters, digits, `-`, `_`, `.` and blanks, not too long."""
    return re.sub(r"[^\w\-. ]", "_", source.stem).strip(" .")[:80] or "picture"
