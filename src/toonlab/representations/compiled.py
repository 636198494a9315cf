"""Loops over pixels, compiled by numba, and word of it when that takes a while."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

log = logging.getLogger(__name__)

try:
    import numba
    from numba.core import event
except ImportError:  # no wheel for this Python yet: callers have a slower path
    AVAILABLE = False
else:
    AVAILABLE = True
"""Whether `compiled` compiles."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function at its first call; kept on disk beside its source, or in the user's cache folder.

    Threads may run it side by side: it lets go of the interpreter lock. Unchanged without numba.
    """
    if not AVAILABLE:
        return function
    fast: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Function", fast)


if AVAILABLE:

    class _Notice(event.Listener):
        """Says once why the first picture takes long; loading from the disk raises no such event."""

        said = False

        def on_start(self, event: Any) -> None:
            ours = (event.data["dispatcher"].py_func.__module__ or "").startswith("toonlab.")
            if ours and not _Notice.said:
                _Notice.said = True
                log.info("Compiling the image filters for this machine: some ten seconds, once.")

        def on_end(self, event: Any) -> None:
            """Nothing to say."""

    event.register("numba:compile", _Notice())  # type: ignore[no-untyped-call]
