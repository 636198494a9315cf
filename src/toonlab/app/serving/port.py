"""Where the page is to be had: a port of its own, under which names, for whom."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

from omegaconf import DictConfig

from toonlab.errors import UsageError
from toonlab.hosts import is_loopback

log = logging.getLogger(__name__)

LOCAL = ("localhost", "127.0.0.1", "::1")


def hosts_of(host: str, names: Any) -> set[str] | None:
    """Return under which names a page on `host` may be asked for; None is any."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound to)
        return None
    return {host.lower(), *(str(name).lower() for name in names), *(LOCAL if is_loopback(host) else ())}


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
    if not is_loopback(cfg.host):
        known = "who knows the password" if cfg.auth else "everybody"
        log.warning(
            "host=%s: %s who can reach this machine can use the page, without encryption", cfg.host, known
        )
