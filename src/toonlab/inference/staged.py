"""Tiles for networks with norms, exactly: the whole picture goes through the network from norm to norm.

A norm's statistics are the whole picture's, so nothing behind it can be painted before all of the picture has
come up to it. One pass over all tiles therefore computes everything up to the next norm, and measures that;
what later passes need is put on canvases (`Canvas`) if it is small enough, otherwise computed again from
the last canvases. As each pass looks no further than one norm, tiles hardly overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import torch
from torch import Tensor, fx

from toonlab.inference.canvas import Canvas
from toonlab.inference.graphs import Graph
from toonlab.inference.moments import Moments, settled_norms
from toonlab.inference.stages import Stage
from toonlab.inference.tiling import OnTile
from toonlab.inference.windows import Window, grid

SHARE = 2
"""Of a tile's side: a pass looks less far than a whole network, so smaller tiles cost little."""

Read = Callable[[slice, slice], Tensor]
"""A window of the padded photo, `(1, 3, h, w)` in [-1, 1]."""


def paint_staged(
    graph: Graph,
    plan: list[Stage],
    read: Read,
    size: tuple[int, int],
    *,
    tile: int,
    multiple: int,
    margin: int,
    device: torch.device,
    on_cartoon: Callable[[Window, Tensor], None],
    on_tile: OnTile | None = None,
) -> None:
    """Paint a picture of `size` (height, width; multiples of `multiple`) tile by tile.

    Args:
        graph: the network.
        plan: its `stages`.
        read: the photo.
        size: of the photo, padded.
        tile: pixels; what is computed at once has a side of a `SHARE` of it.
        multiple: what the network's pictures divide by.
        margin: pixels around the kept part of the last tiles that are wanted too.
        device: where the network is.
        on_cartoon: gets each window and `(1, 3, h, w)`, the whole of what was seen.
        on_tile: told of each tile of each pass.

    Raises:
        UsageError: `tile` is too small.
        OSError: the disk is full.
    """
    halos = [stage.halo + (0 if stage.norms else margin) for stage in plan]
    if max(*size) > tile:
        grid(*size, tile=tile, halo=max(halos), multiple=multiple, share=SHARE)  # is the tile large enough?
    grids = [grid(*size, tile=tile, halo=halo, multiple=multiple, share=SHARE) for halo in halos]
    total, done = sum(map(len, grids)), 0
    canvases: dict[fx.Node, Canvas] = {}
    with ExitStack() as stack, settled_norms(graph) as settle:
        for stage, windows in zip(plan, grids, strict=True):
            for node in stage.kept:
                height, width = (n // graph.stride[node] for n in size)
                canvas = Canvas(height, width, graph.channels[node], graph.dtypes[node])
                canvases[node] = stack.enter_context(closing(canvas))
            moments = Moments()
            for window in windows:
                values: dict[fx.Node, Any] = {}
                for node in stage.given:
                    stride = graph.stride[node]
                    seen = [slice(s.start // stride, s.stop // stride) for s in window.seen]
                    if node is graph.photo:
                        values[node] = read(*window.seen)
                    else:
                        values[node] = canvases[node].read(seen[0], seen[1], device)
                _compute(graph, stage, values)
                if not stage.norms:
                    on_cartoon(window, values[stage.target])
                else:
                    rows, columns = window.inside(graph.stride[stage.target])
                    moments.add(values[stage.target][..., rows, columns])
                for node in stage.kept:
                    stride = graph.stride[node]
                    rows, columns = window.inside(stride)
                    place = [slice(k.start // stride, k.stop // stride) for k in window.kept]
                    canvases[node].write(place[0], place[1], values[node][..., rows, columns])
                done += 1
                if on_tile:
                    on_tile(done, total)
            for node in stage.norms:
                settle(node, moments)
            for node in stage.freed:
                canvases[node].close()


def _compute(graph: Graph, stage: Stage, values: dict[fx.Node, Any]) -> None:
    """Run a stage's steps on one tile; forget what no later step needs."""
    wanted = {stage.target, *stage.kept}
    last = {each: node for node in stage.steps for each in node.all_input_nodes}
    for node in stage.steps:
        values[node] = graph.run(node, values)
        for each in node.all_input_nodes:
            if last[each] is node and each not in wanted:
                values.pop(each, None)
