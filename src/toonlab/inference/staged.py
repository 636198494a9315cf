"""Tiles for networks with norms, exactly: the whole picture goes through the network from norm to norm.

A norm's statistics are the whole picture's, so nothing behind it can be painted before all of the picture has
come up to it. One pass over all tiles therefore computes everything up to the next norm, and measures that;
what later passes need is put on canvases (`Canvas`) if it is small enough, otherwise computed again from
the last canvases. As each pass looks no further than one norm, tiles hardly overlap.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference.canvas import Canvas
from toonlab.inference.graphs import Graph, takes_statistics
from toonlab.inference.tiling import OnTile

BYTES_PER_PIXEL = 128
"""Of features that are kept, for each pixel of the photo; beyond, they are computed again."""

SHARE = 2
"""Of a tile's side: a pass looks less far than a whole network, so smaller tiles cost little."""

Read = Callable[[slice, slice], Tensor]
"""A window of the padded photo, `(1, 3, h, w)` in [-1, 1]."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One tile in photo pixels: what is computed, and what of it is kept."""

    seen: tuple[slice, slice]
    kept: tuple[slice, slice]

    def inside(self, stride: int = 1, margin: int = 0) -> tuple[slice, slice]:
        """Return where the kept part, `margin` wider where there is more, lies in the seen one."""
        rows, columns = (
            slice(
                max(kept.start - margin - seen.start, 0) // stride,
                (min(kept.stop + margin, seen.stop) - seen.start) // stride,
            )
            for kept, seen in zip(self.kept, self.seen, strict=True)
        )
        return rows, columns


def grid(height: int, width: int, *, tile: int, halo: int, multiple: int, share: int = 1) -> list[Window]:
    """Cover a picture with windows of at most (`tile` / `share`)² pixels, `halo` around what is kept of each.

    Everything is a multiple of `multiple`, as height and width are.

    Raises:
        UsageError: nothing is left of a tile but its halo.
    """
    asked, tile = tile, tile // share
    if height * width <= tile**2:
        whole = (slice(0, height), slice(0, width))
        return [Window(whole, whole)]
    halo = -(-halo // multiple) * multiple
    high = min(height, tile)
    wide = min(width, tile**2 // high)
    high = min(height, tile**2 // wide)
    axes = []
    for length, side in ((height, high), (width, wide)):
        core = length if length <= side else (side - 2 * halo) // multiple * multiple
        if core < multiple:
            raise UsageError(
                f"tile={asked} is too small for a generator that looks {halo} pixels around at once: "
                f"use tile={share * 4 * max(halo, multiple)} or more"
            )
        count = -(-length // core)
        cuts = [length // multiple * i // count * multiple for i in range(count + 1)]
        axes.append(
            [
                (slice(max(a - halo, 0), min(b + halo, length)), slice(a, b))
                for a, b in itertools.pairwise(cuts)
            ]
        )
    return [Window((r[0], c[0]), (r[1], c[1])) for r in axes[0] for c in axes[1]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One pass over the picture.

    Attributes:
        given: canvases that it reads, the photo perhaps among them.
        steps: what it computes, in order.
        target: whose statistics it measures, or the cartoon.
        norms: that take these statistics; none for the cartoon.
        kept: what it puts on new canvases.
        freed: canvases that nothing needs any more.
        halo: photo pixels around a tile that it needs.
    """

    given: tuple[fx.Node, ...]
    steps: tuple[fx.Node, ...]
    target: fx.Node
    norms: tuple[fx.Node, ...]
    kept: tuple[fx.Node, ...]
    freed: tuple[fx.Node, ...]
    halo: int


def stages(graph: Graph, bytes_per_pixel: float = BYTES_PER_PIXEL) -> list[Stage]:
    """Plan the passes: one for each input of a norm, one for the cartoon."""
    norms = [node for node in graph.nodes if graph.norm(node)]
    targets = [*list(dict.fromkeys(node.all_input_nodes[0] for node in norms)), graph.cartoon]
    stored, ready = {graph.photo}, {graph.photo}
    planned = []
    for target in targets:
        steps = _needed(graph, target, stored)
        ready |= set(steps)
        last = target is graph.cartoon
        live = {
            node
            for node in stored | set(steps)
            if node in graph.stride and any(user in graph.looks and user not in ready for user in node.users)
        }
        size = sum(_bytes_per_pixel(graph, node) for node in live - {graph.photo})
        keeps = not last and size <= bytes_per_pixel
        reach = dict.fromkeys(stored, 0)
        for node in steps:
            before = (reach[each] for each in node.all_input_nodes if each in reach)
            reach[node] = max(before, default=0) + graph.looks[node]
        planned.append(
            Stage(
                given=tuple(n for n in stored if any(user in steps for user in n.users) or n is target),
                steps=tuple(steps),
                target=target,
                norms=tuple(node for node in norms if node.all_input_nodes[0] is target),
                kept=tuple(live - stored) if keeps else (),
                freed=tuple(stored - live - {graph.photo}) if keeps else (),
                halo=max([reach[target], *(reach[n] for n in live & set(steps) if keeps)]),
            )
        )
        if keeps:
            stored = live | {graph.photo}
            ready = set(ready)
    return planned


def _needed(graph: Graph, target: fx.Node, stored: set[fx.Node]) -> list[fx.Node]:
    """Return the steps from what is stored to the target, in order."""
    wanted, stack = set[fx.Node](), [target]
    while stack:
        node = stack.pop()
        if node not in wanted and node not in stored:
            wanted.add(node)
            stack.extend(node.all_input_nodes)
    return [node for node in graph.nodes if node in wanted]


def _bytes_per_pixel(graph: Graph, node: fx.Node) -> float:
    return graph.channels[node] * graph.dtypes[node].itemsize / graph.stride[node] ** 2


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


class Moments:
    """Mean and variance of each channel, gathered window by window (Chan et al. 1979), in fp64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Take `(1, C, h, w)` in."""
        variance, mean = torch.var_mean(features.float(), dim=(0, 2, 3), correction=0)
        variance, mean = variance.double(), mean.double()
        count = features.shape[-1] * features.shape[-2]
        if not self.count:
            self.count, self.mean, self.squares = count, mean, variance * count
            return
        apart, total = mean - self.mean, self.count + count
        self.squares = self.squares + variance * count + apart**2 * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def shared(self, groups: int) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each channel, fp32, shared by the channels of a group."""
        mean, variance = (x.reshape(groups, -1) for x in (self.mean, self.squares / self.count))
        centre = mean.mean(1, keepdim=True)
        pooled = (variance + (mean - centre) ** 2).mean(1, keepdim=True)
        return centre.expand_as(mean).flatten().float(), pooled.expand_as(mean).flatten().float()


@contextmanager
def settled_norms(graph: Graph) -> Iterator[Callable[[fx.Node, Moments], None]]:
    """Yield what fixes a norm's statistics; all norms are as before afterwards."""
    changed: list[nn.Module] = []

    def settle(node: fx.Node, moments: Moments) -> None:
        norm = graph.norm(node)
        if norm is None:
            raise ValueError(f"{node.name} is no norm")
        groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else norm.num_features
        mean, variance = moments.shared(groups)

        def forward(x: Tensor) -> Tensor:
            return F.batch_norm(x, mean, variance, norm.weight, norm.bias, eps=norm.eps)

        norm.__dict__["forward"] = forward  # found before the class's own
        changed.append(norm)

    try:
        yield settle
    finally:
        for norm in changed:
            norm.__dict__.pop("forward", None)


def has_statistics(network: nn.Module) -> bool:
    """Whether a network has a norm that looks at the whole picture."""
    return any(map(takes_statistics, network.modules()))
