"""What stands before Gradio: only the page's own routes, files, hosts and sizes come through.

Gradio can do more than this page needs: fetch addresses for a visitor, serve any file it was ever shown, hold
a thousand files of one request. What is not on the list here is answered with 403 before Gradio hears of it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toonlab.app.serving.calls import Calls, Message, Receive, RefusedError, check_values, parsed, paths_in
from toonlab.app.serving.room import Room

Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|logout|pwa_icon(/\d+)?)/?"
    r"|/(assets|static)/.+"
    r"|/gradio_api/(info|openapi\.json|app_id|user|login_check|token|startup-events|upload_progress|queue/data)/?"
    r"|/gradio_api/(heartbeat/\w+|call/\w+/\w+|file=.+)"
)
WRITE = re.compile(
    r"/login/?|/gradio_api/(upload|queue/join|cancel|reset|call/\w+|call/v2/\w+|run/predict|stream/\w+(/close)?)/?"
)
FILE = "/gradio_api/file="
UPLOAD = "/gradio_api/upload"
LOGIN = "/login"
UPLOAD_SECONDS = 600.0
"""For one upload, so that a line that went dead does not hold its place for ever."""
DRAIN_SECONDS = 60.0

HEADERS = {
    # Gradio's page has scripts and styles in line; none may come from, or tell, another host.
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """An ASGI application around another.

    Args:
        app: what is guarded.
        room: whose files may be read; uploads are charged to its budget.
        max_upload: bytes of one file.
        hosts: names under which the page may be asked for, without ports; None is any. (A page elsewhere
            could else reach this machine by a name of its own that it points here: DNS rebinding.)
    """

    def __init__(self, app: App, *, room: Room, max_upload: int, hosts: Iterable[str] | None) -> None:
        self.app, self.room, self.max_upload = app, room, max_upload
        self.hosts = None if hosts is None else frozenset(hosts)
        self.calls = Calls()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a websocket that nobody accepts is closed by the server
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = _with(message.get("headers", ()), scope["path"])
            await send(message)

        try:
            await self._let_in(scope, receive, answer)
        except RefusedError as error:
            if begun:
                raise
            if scope["path"].rstrip("/") == UPLOAD:
                await _drain(scope, receive)
            await _refuse(error, answer)

    async def _let_in(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_host(headers)
        path, writes = scope["path"], scope["method"] == "POST"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, "this page is read with GET and written to with POST")
        if not (WRITE if writes else READ).fullmatch(path) or "\\" in path or "\0" in path:
            raise RefusedError(403, "not a part of this page")
        if path.startswith(FILE):
            self._check_file(path.removeprefix(FILE))
        if path.rstrip("/") == UPLOAD:
            await self._upload(scope, headers, receive, send)
        elif writes:
            async with self.calls.body(scope, headers, receive) as body:
                if path.rstrip("/") != LOGIN:  # which is a form
                    self._check_call(parsed(headers, body))
                await self.app(scope, _once(body, receive), send)
        else:
            await self.app(scope, receive, send)

    def _check_host(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        origin = headers.get("origin")
        try:
            name, site = urlsplit(f"//{host}").hostname or "", urlsplit(origin or "").netloc
        except ValueError as error:  # [ without ]
            raise RefusedError(400, "no such host") from error
        if self.hosts is not None and name not in self.hosts:
            raise RefusedError(
                403, f"this page is not served as {host!r}: names=[…] of src/serve.py lets a name in"
            )
        if origin and site != host:
            raise RefusedError(403, "another site may not use this page")

    def _check_file(self, name: str) -> None:
        if ".." in Path(name).parts or not Path(name).is_absolute() or not self.room.holds(Path(name)):
            raise RefusedError(403, "not a file of this page, or deleted in the meantime: paint it once more")

    def _check_call(self, call: dict[str, Any]) -> None:
        for path in paths_in(call):
            if ".." in Path(path).parts or not self.room.holds(Path(path)):
                raise RefusedError(
                    403, "a file has to be uploaded first, to /gradio_api/upload; it may have expired"
                )
        check_values(call)

    async def _upload(
        self, scope: MutableMapping[str, Any], headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        most = self.max_upload + 2**16  # the multipart wrapping
        told = headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() else most
        if size > most:
            raise RefusedError(413, f"larger than the {self.max_upload // 10**6} MB that this page takes")
        if not self.room.reserve(size):
            raise RefusedError(503, "busy: too many uploads at once, try again in a minute", retry=60)
        taken = 0
        refused: RefusedError | None = None
        gone = False
        clock = asyncio.get_running_loop().time
        end = clock() + UPLOAD_SECONDS

        async def counted() -> Message:
            nonlocal taken, refused, gone
            try:
                message = await asyncio.wait_for(receive(), end - clock())
            except TimeoutError:
                refused = RefusedError(408, "the upload took too long")
                return {"type": "http.disconnect"}
            gone = gone or message["type"] == "http.disconnect"
            taken += len(message.get("body", b""))
            if taken > size:
                refused = RefusedError(
                    413, f"larger than the {self.max_upload // 10**6} MB that this page takes"
                )
                return {"type": "http.disconnect"}
            return message

        async def unless_refused(message: Message) -> None:
            if refused is None:
                await send(message)

        try:
            await self.app(scope, counted, unless_refused)
        except Exception:  # Gradio's about a line that broke off: for nobody to read
            if refused is None and not gone:
                raise
        finally:
            self.room.release(size)
        if refused is not None:
            raise refused


async def _drain(scope: MutableMapping[str, Any], receive: Receive) -> None:
    """Read what is still being sent, and drop it: a browser hears no answer before it has said all.

    Not without end; and one that asked first whether it may send (curl does) is answered at once.
    """
    if any(name == b"expect" for name, _ in scope["headers"]):
        return
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _once(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with(headers: Iterable[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    ours = dict(HEADERS)
    if path.startswith(FILE):  # whatever was uploaded: nothing in it may run
        ours["content-security-policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; sandbox"
        )
    kept = [(name, value) for name, value in headers if name.lower().decode("latin-1") not in ours]
    return [*kept, *((name.encode(), value.encode()) for name, value in ours.items())]


async def _refuse(error: RefusedError, send: Send) -> None:
    body = json.dumps({"detail": error.line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is left of the request is not read: the line cannot be used for another.
    headers.append((b"connection", b"close"))
    if error.retry is not None:
        headers.append((b"retry-after", str(error.retry).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
