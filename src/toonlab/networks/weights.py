"""Weight files of published networks: where they lie, and one clear line when they do not."""

from __future__ import annotations

import logging
import textwrap
from http.client import HTTPException
from pathlib import Path

import torch
from torch import nn

from toonlab.errors import UsageError

LOGGER = logging.getLogger(__name__)
OFFLINE = "features=efficientnet_lite0 needs no download"


def fill(network: nn.Module, path: Path, *, classifier: str, remedy: str) -> None:
    """Load a state dict strictly, but for the keys beginning with `classifier`, which `network` has no more.

    Args:
        network: may lie on the meta device; takes the file's tensors, as fp32.
        path: a file written by `torch.save`.
        classifier: prefix of the keys to leave out.
        remedy: what to do about a bad file; ends the error's line.

    Raises:
        UsageError: the file is absent, damaged, or another network's.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        trunk = {key: value for key, value in state.items() if not key.startswith(classifier)}
        network.load_state_dict(trunk, assign=True)
    except Exception as error:  # torch documents no list of errors for a damaged file; we met five kinds
        raise UsageError(f"{path}: no weights that fit ({_brief(error)}); {remedy}, or {OFFLINE}") from error
    network.float()


def published(name: str, url: str) -> Path:
    """Return the file of `url` in torch.hub's cache; download it there, with a progress bar, if it is absent.

    Raises:
        UsageError: it is absent and cannot be downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if path.is_file():
        return path
    LOGGER.info("downloading %s to %s", url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2])
    except (OSError, EOFError, RuntimeError, HTTPException) as error:
        raise UsageError(
            f"features={name}: {path} is absent and its download failed ({_brief(error)}); "
            f"put {url} there, or set features.weights=PATH, or {OFFLINE}"
        ) from error
    return path


def _brief(error: Exception) -> str:
    """Return an error as a part of one line; torch's own go on for pages."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return textwrap.shorten(text, 140, placeholder=" ...")
