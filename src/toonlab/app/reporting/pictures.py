"""The same photos painted by every run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
from toonlab.methods.loaded_inpainting import load_inpainting
from toonlab.reports.page import Grid
from toonlab.reports.scores import data_of

log = logging.getLogger(__name__)

DAMAGED = "damaged photo"

Paint = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""From picture i, `(3, H, W)`, to what was painted and the result."""


class Painter(NamedTuple):
    """What can paint: its run's number in the report, its checkpoint, its data and its direction."""

    number: int
    checkpoint: Path
    data: Mapping[str, Any]
    direction: str
    style: str | None = None  # of a run with several
    completes: bool = False

    @property
    def source(self) -> str:
        """What it is given."""
        return DAMAGED if self.completes else domains(self.direction)[0]


def paint(painters: Sequence[Painter], *, photos: int, device: torch.device) -> list[Grid]:
    """Return a grid for each direction and style in which runs paint, and for those that complete.

    Args:
        painters: a run of several styles once for each.
        photos: how many at most.
        device: what paints.
    """
    grids: dict[tuple[str, str | None], Grid] = {}
    sources: dict[str, tuple[Tensor, str]] = {}
    for painter in tqdm(painters, desc="painting", unit="run", disable=not painters):
        if painter.source not in sources:
            alike = [each for each in painters if each.source == painter.source]
            sources[painter.source] = _sources(alike, photos)
        shown, where = sources[painter.source]
        if not len(shown):
            continue
        painting = _painting(painter, device)
        # One at a time: a report must not need more memory than the training did.
        pairs = [painting(photo.to(device), i) for i, photo in enumerate(shown)]
        before, after = (
            [im.to_picture(picture) for picture in column] for column in zip(*pairs, strict=True)
        )
        fresh = Grid(before, {}, painter.source, where, painter.style)
        grid = grids.setdefault((painter.source, painter.style), fresh)
        grids[painter.source, painter.style] = grid._replace(painted={**grid.painted, painter.number: after})
    return list(grids.values())


def _painting(painter: Painter, device: torch.device) -> Paint:
    if not painter.completes:
        ready = stylizer(load_generator(painter.checkpoint, style=painter.style), device=device, tile=None)
        return lambda photo, _: (photo, ready.paint(photo[None])[0])
    method = load_inpainting(painter.checkpoint).to(device)
    step = method.painter.multiple

    @torch.no_grad()
    def complete(photo: Tensor, i: int) -> tuple[Tensor, Tensor]:
        height, width = (size // step * step for size in photo.shape[1:])
        whole = photo[:, :height, :width]
        result, _, known = method.completed(whole[None], i)
        return whole * known[0], result[0]

    return complete


def _sources(painters: Sequence[Painter], n: int) -> tuple[Tensor, str]:
    """Return pictures that none of the runs learnt from, if there are such, and what they are."""
    first = painters[0]
    view = "cartoon" if first.source == "cartoon" else "photo"
    embedded = photographs()[:n], "The embedded photographs, whole."
    held_out = {repr(sorted(data_of(painter.data).items())) for painter in painters}
    if str(first.data.get("_target_", "")).endswith(".DemoData") and view == "photo":
        return embedded[0], f"{embedded[1]} The runs have seen three fifths of each."
    if len(held_out) > 1 and view == "photo":
        return embedded[0], f"{embedded[1]} The runs' own validation photos differ."
    try:
        data = make(OmegaConf.create({"data": dict(first.data)}), "data", extras=[])
        return data.panel(n, view), f"Validation {view}s, which no run has learnt from."
    except (UsageError, OSError) as error:
        log.warning("the validation %ss cannot be shown: %s", view, error)
        return embedded[0] if view == "photo" else torch.empty(0), embedded[1]
