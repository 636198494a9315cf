"""`input=camera`: what the camera sees, painted, in a window."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from omegaconf import DictConfig, OmegaConf

from toonlab.errors import UsageError
from toonlab.inference.film.colour import Array
from toonlab.inference.film.live import Recorder, live
from toonlab.inference.film.temporal import stabiliser
from toonlab.inference.stylizer import Stylizer

log = logging.getLogger(__name__)

_TITLE = "toonlab: q ends"
_QUIT = {ord("q"), ord("Q"), 27}


def is_camera(name: object) -> bool:
    """Return whether `input` is `camera`, `camera:1` or `camera:FILE` and not a file of that name."""
    word = str(name)
    return (word == "camera" or word.startswith("camera:")) and not Path(word).exists()


def watch(cfg: DictConfig, stylizer: Stylizer) -> None:
    """Show the camera of `cfg.input`, painted, until q is pressed; record into `cfg.output` if there is one.

    Raises:
        UsageError: no camera, no display and nothing to record into, or the output is there already.
    """
    target = None if OmegaConf.is_missing(cfg, "output") else Path(cfg.output).expanduser()
    _check(target, overwrite=cfg.overwrite)
    seen = _has_display()
    if not seen:
        log.info("no display for a window: recording until Ctrl-C")
    capture = _opened(str(cfg.input))
    recorder = Recorder(target, crf=cfg.crf) if target else None
    steady = stabiliser(cfg.temporal)
    try:
        count = live(
            _frames(capture),
            stylizer,
            _show if seen else lambda *_: True,
            side=cfg.camera_side,
            stabiliser=steady,
            recorder=recorder,
        )
    except KeyboardInterrupt:  # as good a way to end it as q
        count = -1
    finally:
        capture.release()
        if seen:
            cv2.destroyAllWindows()
        if recorder:
            recorder.close()
    if count == 0:
        raise UsageError(f"input={cfg.input} gives no picture: is another program using it?")
    if target:
        log.info("recorded: %s", target)


def _check(target: Path | None, *, overwrite: bool) -> None:
    if target and target.suffix.lower() not in (".mp4", ".m4v", ".mov", ".mkv"):
        raise UsageError(f"output={target}: a camera is recorded as .mp4, .mov or .mkv")
    if target and target.exists() and not overwrite:
        raise UsageError(f"output={target} is there already: name another, or say overwrite=true")
    if target is None and not _has_display():
        raise UsageError(
            "input=camera: this machine has no display for a window; output=FILE records without one, and "
            "src/serve.py's page takes the camera of the browser that shows it"
        )


def _has_display() -> bool:
    """Say whether a window can be opened; without one Qt would end the process with a message of its own."""
    linux = sys.platform.startswith("linux")
    return not linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _opened(word: str) -> cv2.VideoCapture:
    device = word.partition(":")[2] or "0"
    capture = cv2.VideoCapture(int(device) if device.isdecimal() else device)
    if not capture.isOpened():
        raise UsageError(f"input={word}: no such camera; camera:0 is the first, camera:1 the second")
    return capture


def _frames(capture: cv2.VideoCapture) -> Iterator[Array]:
    while True:
        read, frame = capture.read()
        if not read:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _show(painted: Array, rate: float) -> bool:
    """Show a frame; return whether to go on."""
    shown = cv2.cvtColor(painted, cv2.COLOR_RGB2BGR)
    for colour, thickness in ((0, 0, 0), 3), ((255, 255, 255), 1):
        cv2.putText(shown, f"{rate:.1f} fps", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness)
    cv2.imshow(_TITLE, shown)
    if cv2.waitKey(1) & 0xFF in _QUIT:
        return False
    return cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1  # closed by its own button
