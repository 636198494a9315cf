"""The page and its pictures over HTTP, for this machine alone unless it is told otherwise."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from toonlab.errors import UsageError
from toonlab.hosts import in_url, is_loopback
from toonlab.votes.api import Api, RefusedError
from toonlab.votes.store import Rater

log = logging.getLogger(__name__)

LONGEST_BODY = 4096  # bytes; a vote takes a hundred
CONNECTIONS = 128  # at once
PATIENCE = 30  # seconds that a silent connection is kept

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = {
    "/": ("vote.html", "text/html; charset=utf-8"),
    "/vote.css": ("vote.css", "text/css; charset=utf-8"),
    "/vote.js": ("vote.js", "text/javascript; charset=utf-8"),
}


class Server(ThreadingHTTPServer):
    """Serves one vote; `serve_forever` until it is shut down.

    Args:
        api: answers.
        pictures: the folder of PNG files by their tokens.
        host: name or address to listen at.
        port: 0 takes a free one; see `url`.

    Raises:
        UsageError: it cannot listen there.
    """

    daemon_threads = True  # whoever holds a connection open does not hold up the end
    request_queue_size = 64

    def __init__(self, api: Api, pictures: Path, *, host: str, port: int) -> None:
        self.api, self.pictures, self.host = api, pictures, host
        templates = files("toonlab.votes") / "templates"
        self.page = {path: (kind, (templates / name).read_bytes()) for path, (name, kind) in _PAGE.items()}
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._open: set[socket.socket] = set()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"host={host} port={port}: cannot listen there ({why}); port=0 takes a free one"
            ) from error

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{in_url(self.host)}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name server who we are, and may wait for it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def knows(self, host: str) -> bool:
        """Whether a request's Host means us: a page that renames itself to our address is none of ours."""
        name = _split(f"//{host}").hostname or ""
        own = socket.gethostname().lower()
        if name in ("localhost", self.host, own, f"{own}.local"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self.host)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._room.release()

    def server_close(self) -> None:
        """Stop listening, and end the connections that browsers keep."""
        super().server_close()
        for request in list(self._open):
            with suppress(OSError):  # it may have ended by itself
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection broke", exc_info=True)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # a bracket without its partner
        return urlsplit("")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "toonlab", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def _answer(self, work: Callable[[SplitResult], None]) -> None:
        try:
            if not self.server.knows(self.headers.get("Host", "")):
                raise RefusedError(403, "This page is not reached by that name.")
            work(_split(self.path))
        except RefusedError as error:
            self.close_connection = True  # its body may not have been read
            self._json({"error": str(error)}, status=error.status)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except sqlite3.Error as error:
            log.error("%s: %s", self.server.api.store.path, error)
            self.close_connection = True
            self._json({"error": "The vote could not be written down. Is the disk full?"}, status=503)
        except Exception:
            log.exception("%s %s", self.command, self.path)
            self.close_connection = True
            self._json({"error": "Something is wrong with the server; see its terminal."}, status=500)

    def _get(self, url: SplitResult) -> None:
        if url.path in self.server.page:
            kind, content = self.server.page[url.path]
            self._send(content, kind, {"Cache-Control": "no-cache"})
        elif url.path == "/api/question":
            wanted = parse_qs(url.query).get("number", [""])[0]
            number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 9 else None
            rater = self.server.api.known(self._token())
            self._json(self.server.api.question(rater, number) if rater else {"stranger": True})
        elif url.path.startswith("/picture/"):
            token = url.path.removeprefix("/picture/").removesuffix(".png")
            if token not in self.server.api.pictures:  # nothing else ever becomes a path
                raise RefusedError(404, "There is no such picture.")
            content = (self.server.pictures / f"{token}.png").read_bytes()
            self._send(content, "image/png", {"Cache-Control": "private, max-age=86400, immutable"})
        else:
            raise RefusedError(404, "There is no such page.")

    def _post(self, url: SplitResult) -> None:
        body = self._body()
        if url.path == "/api/rater":
            rater = self.server.api.enter(body)
            cookie = (
                f"{self.server.api.cookie}={rater.token}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict"
            )
            self._json(self.server.api.question(rater), {"Set-Cookie": cookie})
        elif url.path == "/api/vote":
            self._json(self.server.api.vote(self._rater(), body))
        elif url.path == "/api/leave":
            gone = f"{self.server.api.cookie}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
            self._json({}, {"Set-Cookie": gone})
        else:
            raise RefusedError(404, "There is no such page.")

    def _body(self) -> Mapping[str, Any]:
        """Read a request of our own page; another's does not get in.

        A form of another page cannot send this type of content, a script of it would have to ask first, and
        both say where they are from.
        """
        origin = self.headers.get("Origin")
        if origin is not None and _split(origin).netloc != self.headers.get("Host"):
            raise RefusedError(403, "Votes are cast on this page alone.")
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise RefusedError(403, "Votes are cast on this page alone.")
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "Expected JSON.")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RefusedError(411, "Expected a Content-Length.")
        if len(length) > 9 or int(length) > LONGEST_BODY:
            raise RefusedError(413, f"Too long: {LONGEST_BODY} bytes at most.")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "That is no JSON.") from error
        if not isinstance(body, dict):
            raise RefusedError(400, "Expected a JSON object.")
        return body

    def _rater(self) -> Rater:
        return self.server.api.rater(self._token())

    def _token(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.api.cookie)
        except CookieError:
            found = None
        return found.value if found else ""

    def _json(self, content: Mapping[str, Any], more: Mapping[str, str] = {}, *, status: int = 200) -> None:
        text = json.dumps(content).encode()
        self._send(text, "application/json", {"Cache-Control": "no-store", **more}, status=status)

    def _send(self, content: bytes, kind: str, more: Mapping[str, str], *, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {
            **_HEADERS,
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            **more,
        }.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
