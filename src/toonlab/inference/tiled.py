"""A generator that paints pictures of any size tile by tile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

from toonlab.inference import tiling
from toonlab.inference.graphs import Graph, NotLocalError, graph_of, takes_statistics
from toonlab.inference.staged import Read, paint_staged
from toonlab.inference.stages import stages
from toonlab.inference.windows import Window, grid

log = logging.getLogger(__name__)


class Tiled:
    """Paints tile by tile: exactly, or with the norms' statistics from crops.

    Args:
        generator: in eval mode, on its device.
        multiple: what pictures must divide by.
        tile: side in pixels of the largest square that is painted at once.
        tiles: `exact` or `sampled`; networks that cannot be taken apart are sampled, and that is said.
        device: where the generator is.
        arithmetic: makes the context in which it runs.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        multiple: int,
        tile: int,
        tiles: Literal["exact", "sampled"],
        device: torch.device,
        arithmetic: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.generator, self.multiple, self.tile, self.device = generator, multiple, tile, device
        self.arithmetic = arithmetic
        self.exact = tiles == "exact"
        self.has_statistics = any(map(takes_statistics, generator.modules()))
        self._reach: int | None = None
        self._graph: Graph | None = None

    def paint(
        self,
        read: Read,
        size: tuple[int, int],
        *,
        multiple: int,
        margin: int,
        on_cartoon: Callable[[Window, Tensor], None],
        on_tile: tiling.OnTile | None = None,
    ) -> None:
        """Paint a picture of `size` (height, width; multiples of `multiple`).

        Args:
            read: gives windows of it.
            size: padded.
            multiple: of this picture, the generator's or more.
            margin: pixels around what is kept of a tile that are wanted too.
            on_cartoon: gets each window and all that was painted of it, `(1, 3, h, w)`.
            on_tile: told of each tile of each pass.

        Raises:
            UsageError: `tile` is too small for this generator, or no tile is large enough.
        """
        if self.has_statistics and (graph := self._taken_apart()):
            with self.arithmetic():
                paint_staged(
                    graph,
                    stages(graph),
                    read,
                    size,
                    tile=self.tile,
                    multiple=multiple,
                    margin=margin,
                    device=self.device,
                    on_cartoon=on_cartoon,
                    on_tile=on_tile,
                )
            return
        if self._reach is None:
            self._reach = tiling.reach(self.generator, self.multiple, self.device)
        windows = grid(*size, tile=self.tile, halo=self._reach + margin, multiple=multiple)
        with self.arithmetic(), tiling.fixed_statistics(self.generator) as are_needed:
            if are_needed:
                crops = tiling.sample_windows(*size, self.tile, self.multiple)
                self.generator(torch.cat([read(*crop) for crop in crops]))
            for done, window in enumerate(windows, start=1):
                on_cartoon(window, self.generator(read(*window.seen)))
                if on_tile:
                    on_tile(done, len(windows))

    def _taken_apart(self) -> Graph | None:
        """Return the generator's steps, once for all; None if its statistics are sampled."""
        if self.exact and self._graph is None:
            try:
                with self.arithmetic():
                    self._graph = graph_of(self.generator, self.multiple, self.device)
            except NotLocalError as error:
                self.exact = False
                log.warning(
                    "tiles=exact is not to be had for %s: %s; statistics are sampled, some levels of 255 off",
                    type(self.generator).__name__,
                    error,
                )
        return self._graph
