"""The same photos painted by every run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor
from tqdm import tqdm

from toonlab import images as im
from toonlab.app.painter import stylizer
from toonlab.app.setup import make
from toonlab.data.demo import photographs
from toonlab.engine.checkpoint import load_generator
from toonlab.engine.direction import domains
from toonlab.errors import UsageError
from toonlab.reports.page import Grid
from toonlab.reports.scores import data_of

log = logging.getLogger(__name__)


class Painter(NamedTuple):
    """A run that can paint: its number in the report, its checkpoint, its data and its direction."""

    number: int
    checkpoint: Path
    data: Mapping[str, Any]
    direction: str


def paint(painters: Sequence[Painter], *, photos: int, device: torch.device) -> list[Grid]:
    """Return a grid for each direction in which runs paint.

    Args:
        painters: whose checkpoints paint one style.
        photos: how many at most.
        device: what paints.
    """
    grids: dict[str, tuple[Tensor, str, dict[int, list[Any]]]] = {}
    for painter in tqdm(painters, desc="painting", unit="run", disable=not painters):
        loaded = load_generator(painter.checkpoint)
        source, _ = domains(painter.direction)
        if source not in grids:
            alike = [each for each in painters if each.direction == painter.direction]
            shown, where = _sources(source, alike, painter, photos)
            grids[source] = shown, where, {}
        shown, _, painted = grids[source]
        ready = stylizer(loaded, device=device, tile=None)
        # One at a time: a report must not need more memory than the training did.
        painted[painter.number] = [im.to_picture(ready.paint(photo[None].to(device))[0]) for photo in shown]
    return [
        Grid([im.to_picture(photo) for photo in shown], painted, source, where)
        for source, (shown, where, painted) in grids.items()
        if len(shown)
    ]


def _sources(source: str, painters: Sequence[Painter], first: Painter, n: int) -> tuple[Tensor, str]:
    """Return pictures that none of the runs learnt from, if there are such, and what they are."""
    embedded = photographs()[:n], "The embedded photographs, whole."
    held_out = {repr(sorted(data_of(painter.data).items())) for painter in painters}
    if str(first.data.get("_target_", "")).endswith(".DemoData") and source == "photo":
        return embedded[0], f"{embedded[1]} The runs have seen three fifths of each."
    if len(held_out) > 1 and source == "photo":
        return embedded[0], f"{embedded[1]} The runs' own validation photos differ."
    try:
        data = make(OmegaConf.create({"data": dict(first.data)}), "data", extras=[])
        return data.panel(n, source), f"Validation {source}s, which no run has learnt from."
    except (UsageError, OSError) as error:
        log.warning("the validation %ss cannot be shown: %s", source, error)
        return embedded[0] if source == "photo" else torch.empty(0), embedded[1]
