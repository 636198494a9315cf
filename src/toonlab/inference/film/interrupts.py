"""Ctrl-C as a question that is asked between frames, so that no file is left in the middle of a write."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed; the second time it interrupts as always.

    Only the main thread is told of signals; in another the answer is no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()
    usual = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal's own shape)
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        sys.stderr.write("\nstopping after this frame; Ctrl-C again stops at once\n")

    signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, usual)
