"""Names of machines that a page of ours is served on."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def in_url(host: str) -> str:
    """Return a name or address as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
