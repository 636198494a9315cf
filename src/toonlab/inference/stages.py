"""Which passes over a picture a network with norms needs: one for each input of a norm, and the cartoon's."""

from __future__ import annotations

import dataclasses

from torch import fx

from toonlab.inference.graphs import Graph

BYTES_PER_PIXEL = 128
"""Of features that are kept, for each pixel of the photo; beyond, they are computed again."""


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
