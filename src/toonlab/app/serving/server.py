"""The web server: a port of its own, an end in good order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from types import FrameType

import fastapi
import gradio as gr
import uvicorn
from omegaconf import DictConfig

from toonlab.app.serving.guard import Guard
from toonlab.app.serving.look import CSS, theme
from toonlab.app.serving.page import page
from toonlab.app.serving.port import credentials, hosts_of
from toonlab.app.serving.room import Room
from toonlab.app.serving.work import Studio
from toonlab.hosts import in_url

log = logging.getLogger(__name__)

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
            studio.end()


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


def _address(host: str, port: int) -> str:
    return f"http://{in_url('127.0.0.1' if host == '0.0.0.0' else host)}:{port}"  # noqa: S104


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
