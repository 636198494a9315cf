"""Calls of the page: read within a size and a time, and looked at before anybody else parses them.

A call holds texts, numbers and names of uploaded files; only a camera's frame comes as a picture within it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

LARGEST_CALL = 64 * 2**10
"""Bytes of a call, without the frame that it may carry."""
LARGEST_FRAME = 4 * 2**20
"""Bytes of a call with a frame; Gradio's page asks the camera for 1920x1440 and sends a JPEG of it."""
FRAMES_AT_ONCE = 64 * 2**20
"""Bytes of all calls together that are larger than `LARGEST_CALL` and not handed on yet."""
CALL_SECONDS = 20.0
"""For the body of one call."""
MOST_SIGNS = 300
"""Brackets, braces and commas of a call: the parser's work. The page's own have about 40."""
MOST_VALUES = 32
"""Entries of `data`; `/paint` has ten."""

WITH_FRAME = re.compile(r"/gradio_api/(queue/join|stream/\w+)/?")


class RefusedError(Exception):
    """A request that is not let through: a status and one line."""

    def __init__(self, status: int, line: str, *, retry: int | None = None) -> None:
        super().__init__(line)
        self.status, self.line, self.retry = status, line, retry


class Calls:
    """Reads bodies of calls; the large ones share a budget."""

    def __init__(self) -> None:
        self._large = 0

    @contextlib.asynccontextmanager
    async def body(
        self, scope: MutableMapping[str, Any], headers: dict[str, str], receive: Receive
    ) -> AsyncIterator[bytes]:
        """Hold a body, and its part of the budget.

        Raises:
            RefusedError: too large, too slow, too many at once, or broken off.
        """
        most = LARGEST_FRAME if WITH_FRAME.fullmatch(scope["path"]) else LARGEST_CALL
        told = headers.get("content-length", "")
        refused = _too_large(most) if told.isascii() and told.isdigit() and int(told[:20]) > most else None
        if refused is not None and "expect" in headers:
            raise refused  # it asked first whether it may send
        body, large = bytearray(), 0
        try:
            async with asyncio.timeout(CALL_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the line broke off")
                    more = bool(message.get("more_body"))
                    if refused is not None:
                        continue  # a browser hears no answer before it has said all
                    body += message.get("body", b"")
                    grown = max(0, len(body) - LARGEST_CALL) - large
                    if len(body) > most:
                        refused = _too_large(most)
                    elif self._large + grown > FRAMES_AT_ONCE:
                        refused = RefusedError(503, "busy: too many frames of cameras at once", retry=5)
                    else:
                        large += grown
                        self._large += grown
                    if refused is not None:
                        self._large -= large
                        large = 0
                        body.clear()
            if refused is not None:
                raise refused
            yield bytes(body)
        except TimeoutError as error:
            raise refused or RefusedError(408, "the call took too long to arrive") from error
        finally:
            self._large -= large


def parsed(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return a call; what is too much to parse is refused by its signs alone.

    Raises:
        RefusedError: it is none.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "a call is JSON: Content-Type: application/json")
    if sum(body.count(sign) for sign in (b"[", b"{", b",")) > MOST_SIGNS:
        raise RefusedError(413, f"more than the {MOST_SIGNS} brackets and commas that a call may have")
    if len(body) > LARGEST_CALL and body.count(b"\\") > MOST_SIGNS:
        raise RefusedError(413, "more than a frame of a camera holds")
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON") from error
    if not isinstance(call, dict):
        raise RefusedError(400, "a call is a JSON object")
    if len(body) - len(_frame(call)) > LARGEST_CALL:
        raise _too_large(LARGEST_CALL)
    return call


def check_values(call: dict[str, Any]) -> None:
    """Look at what a call hands over: plain values and files, no deeper.

    Raises:
        RefusedError: anything else.
    """
    data = call.get("data", [])
    more = [value for name, value in call.items() if name not in ("data", "event_data")]
    if not isinstance(data, list) or len(data) > MOST_VALUES or not all(map(_simple, [*data, *more])):
        raise RefusedError(
            400,
            f"a call has at most {MOST_VALUES} values: texts, numbers, and files that were uploaded before",
        )


def paths_in(call: Any) -> list[str]:
    """Return every `path` that a call names, however deep, without recursion."""
    found, waiting = [], [call]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("path"), str):
                found.append(node["path"])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"larger than the {most >> 10} KiB that a call may have")


def _frame(call: dict[str, Any]) -> str:
    """Return the camera's frame, the first value of a call, as the data URL that it is."""
    data = call.get("data")
    first = data[0] if isinstance(data, list) and data else None
    url = first.get("url") if isinstance(first, dict) else None
    return url if isinstance(url, str) and url.startswith("data:image/") else ""


def _simple(value: Any) -> bool:
    if isinstance(value, dict):  # a file, and what is said of it
        parts = [part for name, part in value.items() if name != "meta"]
        meta = value.get("meta")
        parts += meta.values() if isinstance(meta, dict) else [meta]
        return not any(isinstance(part, (dict, list)) for part in parts)
    return not isinstance(value, list)
