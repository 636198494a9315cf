"""`src/serve.py`: a page on this machine that paints."""

from __future__ import annotations

import importlib.util
import logging
import os

from omegaconf import DictConfig

from toonlab.app.painter import settle_network
from toonlab.app.serving.offers import Offer, offers
from toonlab.app.serving.port import credentials, listen, warn_if_open
from toonlab.app.serving.room import room
from toonlab.app.serving.shelf import Shelf
from toonlab.app.serving.work import Studio
from toonlab.app.setup import device_named, quiet
from toonlab.errors import UsageError
from toonlab.heap import few_arenas

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Serve the page until Ctrl-C (130) or SIGTERM (143); uploads and results are deleted then.

    Raises:
        UsageError: Gradio is not installed, the port is taken, or a checkpoint cannot be used.
    """
    quiet()
    few_arenas()
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the page needs Gradio, which is not installed: pip install -e '.[serve]'")
    _check(cfg)
    settle_network(cfg)
    device = device_named(cfg.device)
    with (
        listen(cfg.host, cfg.port) as listening,
        room(budget=int(cfg.max_disk * 10**6), seconds=cfg.keep_minutes * 60) as own,
    ):
        offered = offers(cfg)
        log.info("%s", _list(offered))
        # Read when Gradio is imported, and when it stores an upload.
        os.environ |= {
            "GRADIO_TEMP_DIR": str(own.path),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_RUN_HISTORY": "False",
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        for name in ("GRADIO_SHARE", "GRADIO_ROOT_PATH", "GRADIO_ALLOWED_PATHS", "GRADIO_MCP_SERVER"):
            os.environ.pop(name, None)
        from toonlab.app.serving.server import serve

        warn_if_open(cfg)
        serve(cfg, Studio(cfg, Shelf(cfg, offered, device), own), own, listening)


def _check(cfg: DictConfig) -> None:
    """Refuse limits that are none.

    Raises:
        UsageError: a number is not positive.
    """
    for key in (
        "keep",
        "max_upload",
        "max_pixels",
        "max_frames",
        "max_disk",
        "keep_minutes",
        "queue",
        "time_limit",
        "cameras",
        "camera_seconds",
        "camera_side",
        "preview",
    ):
        if not isinstance(cfg[key], int | float) or cfg[key] <= 0:
            raise UsageError(f"{key}={cfg[key]}: a number above 0")
    if cfg.max_disk < cfg.max_upload:
        raise UsageError(f"max_disk={cfg.max_disk}: no room for a file of max_upload={cfg.max_upload} MB")
    credentials(cfg.auth)
    if not 0 <= cfg.strength <= 1:
        raise UsageError(
            f"strength={cfg.strength} is not in [0, 1]: 0 is the raw cartoon, 1 the filtered one"
        )


def _list(offered: dict[str, Offer]) -> str:
    lines = []
    for offer in offered.values():
        variant = offer.variant(None)
        more = [f"emphasis: {', '.join(offer.variants)}"] if len(offer.variants) > 1 else []
        more += [f"styles: {', '.join(variant.styles)}"] if variant.styles else []
        lines.append(f"model {offer.name}" + (f" ({'; '.join(more)})" if more else ""))
    return "\n".join(lines)
