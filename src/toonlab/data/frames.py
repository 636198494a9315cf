"""One film's frames worth keeping: looked at once at a small size, read again at its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from toonlab import images
from toonlab.data.film import Film, FilmError
from toonlab.data.hashes import phash
from toonlab.data.matte import Matte, Window
from toonlab.data.shots import Pick, Sampling, Series, pick

_WATCHED = 320  # pixels of the longer side at which every frame is looked at
_EVERY = 0.5  # seconds between frames that are looked at for bars and subtitles
_DONE = "film.json"


class Taking(NamedTuple):
    """How a film's frames are cut and written; plain values, as they travel between processes."""

    sampling: Sampling
    bars: bool
    subtitles: str | float
    subtitle_rate: float
    format: str
    quality: int


def take(
    path: Path,
    folder: Path,
    state: str,
    taking: Taking,
    threads: int,
    tick: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Write a film's candidates and `film.json` into `folder`, all or nothing.

    Args:
        path: the film.
        folder: is made; one that is there and was made from the same film is the answer.
        state: tells the film from its earlier self.
        taking: what to do.
        threads: of the decoder; 0 lets it choose.
        tick: is called for each frame that was looked at.

    Returns:
        What `film.json` holds: `frames` (name, seconds, shot, sharpness, hash), `dropped` (reason: count),
        `looked_at`, `damaged` packets, `window` (left, top, right, bottom), or `error`.
    """
    if (known := read(folder, state)) is not None:
        return known
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        answer = _take(path, part, taking, threads, tick)
    except FilmError as error:
        answer = {"error": str(error), "frames": [], "dropped": {}, "looked_at": 0, "damaged": 0}
    (part / _DONE).write_text(json.dumps({"state": state} | answer))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return answer


def read(folder: Path, state: str) -> dict[str, Any] | None:
    """Return what an earlier call found in this film; None if it did not end or the film changed."""
    try:
        kept: dict[str, Any] = json.loads((folder / _DONE).read_text())
    except (OSError, ValueError):
        return None
    return kept if kept.get("state") == state else None


def _take(
    path: Path, folder: Path, taking: Taking, threads: int, tick: Callable[[], object] | None
) -> dict[str, Any]:
    film = Film(path, threads=threads)
    series, matte, last = Series(film.fps), Matte(), -_EVERY
    for seconds, frame in film.frames():
        series.add(seconds, film.picture(frame, side=_WATCHED))
        if seconds - last >= _EVERY:
            matte.add(film.picture(frame, grey=True))
            last = seconds
        if tick:
            tick()
    if not series.moments:
        raise FilmError("no frame can be decoded")
    damaged = film.damaged
    picks, dropped = pick(series.moments, taking.sampling, film.fps)
    wanted = {p.frame: p for p in picks}
    rows = list[dict[str, Any]]()
    window: Window | None = None
    for index, (_, frame) in enumerate(film.frames()):
        if index not in wanted:
            continue
        picture = film.picture(frame)
        window = window or _window(matte, picture.shape[0], picture.shape[1], taking)
        cut = np.ascontiguousarray(picture[window.top : window.bottom, window.left : window.right])
        rows.append(_write(cut, wanted[index], folder, taking))
    return {
        "frames": rows,
        "dropped": dict(dropped),
        "looked_at": len(series.moments),
        "damaged": damaged,
        "window": list(window or ()),
        "shots": len({p.shot for p in picks}),
    }


def _window(matte: Matte, height: int, width: int, taking: Taking) -> Window:
    window = matte.window() if taking.bars and matte.frames else Window(0, 0, width, height)
    top = None
    if taking.subtitles == "detect":
        top = matte.text_top(taking.subtitle_rate)
    elif not isinstance(taking.subtitles, str):
        top = round(window.bottom - (window.bottom - window.top) * taking.subtitles)
    return window._replace(bottom=min(window.bottom, top)) if top else window


def _write(picture: np.ndarray[Any, Any], chosen: Pick, folder: Path, taking: Taking) -> dict[str, Any]:
    milliseconds = round(chosen.seconds * 1000)
    name = f"{milliseconds // 1000:06d}_{milliseconds % 1000:03d}.{taking.format}"
    options: dict[str, Any] = {"quality": taking.quality, "subsampling": 0} if taking.format == "jpg" else {}
    images.save(Image.fromarray(picture), folder / name, **options)
    return {
        "name": name,
        "seconds": round(chosen.seconds, 3),
        "shot": chosen.shot,
        "sharpness": round(chosen.sharpness, 1),
        "hash": f"{phash(picture):016x}",
    }


def link(source: Path, target: Path) -> None:
    """Let `target` be `source`'s file, or a copy where the disk has no links; atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(target)
