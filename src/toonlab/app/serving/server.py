"""The web server: a port of its own, an end in good order."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from types import FrameType
from typing import Any

import fastapi
import gradio as gr
import uvicorn
from omegaconf import DictConfig

from toonlab.app.serving.guard import Guard
from toonlab.app.serving.look import CSS, theme
from toonlab.app.serving.page import page
from toonlab.app.serving.room import Room
from toonlab.app.serving.work import Studio
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

LOCAL = ("localhost", "127.0.0.1", "::1")
CONNECTIONS = 500
"""At once; each open page holds one. Further ones are answered 503."""


def serve(cfg: DictConfig, studio: Studio, room: Room, listening: socket.socket) -> None:
    """Serve the page until Ctrl-C (KeyboardInterrupt) or SIGTERM (SystemExit of 143).

    Args:
        cfg: of `conf/serve.yaml`.
        studio: does the jobs.
        room: of uploads and results.
        listening: as `listen` returned it.
    """
    host, port = listening.getsockname()[:2]
    app = guarded(cfg, studio, room, str(host), port)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        ws="none",
        server_header=False,
    )
    server = uvicorn.Server(config)
    address = _address(cfg.host, port)
    log.info("toonlab's page: %s (Ctrl-C ends it)", address)
    sys.stdout.flush()
    if cfg.open_browser:
        webbrowser.open(address)
    with _ended_by_sigterm():
        try:
            server.run(sockets=[listening])
        finally:
            studio.ending = True


def guarded(cfg: DictConfig, studio: Studio, room: Room, host: str, port: int) -> Guard:
    """Return the whole application: the page, and what stands before it."""
    blocks = page(cfg, studio)
    max_upload = int(cfg.max_upload * 10**6)
    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        blocks,
        path="/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        auth=credentials(cfg.auth),
        max_file_size=max_upload,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css=CSS,
    )
    # Without it Gradio takes a mounted page for one still being written, and lets a call name any file.
    blocks.has_launched = True
    return Guard(app, room=room, max_upload=max_upload, hosts=hosts_of(host, cfg.names))


def hosts_of(host: str, names: Any) -> set[str] | None:
    """Return under which names a page on `host` may be asked for; None is any."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound to)
        return None
    return {host.lower(), *(str(name).lower() for name in names), *(LOCAL if _is_loopback(host) else ())}


def credentials(auth: str | None) -> list[tuple[str, str]] | None:
    """Return `USER:PASSWORD` as Gradio wants it.

    Raises:
        UsageError: it is of another form.
    """
    if auth is None:
        return None
    user, _, password = str(auth).partition(":")
    if not user or not password:
        raise UsageError("auth=…: write it as USER:PASSWORD")
    return [(user, password)]


def listen(host: str, port: int | str) -> socket.socket:
    """Take a port now, so that a taken one is told before any network is loaded.

    Raises:
        UsageError: the port is taken or no port, or the host is none of this machine's.
    """
    if port != "auto" and (isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536):
        raise UsageError(f"port={port}: a number from 1 to 65535, or auto for a free one")
    try:
        ((family, kind, proto, _, address), *_) = socket.getaddrinfo(
            host, 0 if port == "auto" else port, type=socket.SOCK_STREAM
        )
        opened = socket.socket(family, kind, proto)
    except OSError as error:
        raise UsageError(f"host={host}: not an address of this machine; try host=127.0.0.1") from error
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(address)
        opened.listen(256)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port={port}: is taken by another program; name another, or port=auto"
            ) from error
        if error.errno == errno.EACCES:
            raise UsageError(f"port={port}: not allowed for this user; name one from 1024 on") from error
        raise UsageError(f"host={host}: not an address of this machine; try host=127.0.0.1") from error
    return opened


def warn_if_open(cfg: DictConfig) -> None:
    """Say aloud what a host other than this machine means."""
    if not _is_loopback(cfg.host):
        known = "who knows the password" if cfg.auth else "everybody"
        log.warning(
            "host=%s: %s who can reach this machine can use the page, without encryption", cfg.host, known
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str, port: int) -> str:
    name = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{name}:{port}"


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the server as Ctrl-C does, its folder deleted."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
