"""Output that nobody reads any more, as behind `| head`: a command then ends as other Unix tools do."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SCREEN = (1, 2)  # stdout, stderr


@contextmanager
def ending_quietly() -> Iterator[None]:
    """End with 141, as if by SIGPIPE and without a word, once the reader of stdout has gone.

    SIGPIPE itself stays ignored, as Python has it: a broken connection to a worker or to a dashboard is no
    reason to die.
    """
    try:
        yield
    except BrokenPipeError as error:
        end_if_unread(error)
        raise
    finally:
        try:
            sys.stdout.flush()  # here, not at exit, where Python would print that it cannot
        except BrokenPipeError:
            _end()


def end_if_unread(error: BaseException) -> None:
    """End the process if `error` comes of a screen that nobody reads; else return."""
    if isinstance(error, BrokenPipeError) and any(map(_is_unread, _SCREEN)):
        _end()


def _is_unread(descriptor: int) -> bool:
    watched = select.poll()
    watched.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def _end() -> None:
    os._exit(128 + signal.SIGPIPE)
