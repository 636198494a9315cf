"""What a network computes, step by step: who needs what, how coarse it is, and how far each step looks.

Read off by torch.fx from the module itself, so that adapters, folded styles and skips need no code of their
own. Steps that are not known to be local are refused, never guessed.
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from toonlab.networks.layers import LegacyUpsample, SameConv


class NotLocalError(ValueError):
    """A network that cannot be taken apart; the message names the step and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """A network as steps in order.

    Attributes:
        network: with its steps' modules.
        nodes: from the photo to the cartoon.
        channels: of each step's result, if it is a picture.
        stride: photo pixels to a place of each step's result.
        looks: photo pixels around a place that a step needs of its inputs, at most.
        dtypes: of each step's result.
    """

    network: fx.GraphModule
    nodes: tuple[fx.Node, ...]
    channels: dict[fx.Node, int]
    stride: dict[fx.Node, int]
    looks: dict[fx.Node, int]
    dtypes: dict[fx.Node, torch.dtype]

    @property
    def photo(self) -> fx.Node:
        return self.nodes[0]

    @property
    def cartoon(self) -> fx.Node:
        return self.nodes[-1]

    def norm(self, node: fx.Node) -> nn.GroupNorm | nn.InstanceNorm2d | None:
        """Return the module if the step takes statistics of the whole picture."""
        if node.op != "call_module":
            return None
        module = self.network.get_submodule(str(node.target))
        return module if takes_statistics(module) else None

    def run(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        """Compute one step from those before it."""

        def value(of: fx.Node) -> Any:
            return values[of]

        args, kwargs = fx.node.map_arg(node.args, value), fx.node.map_arg(node.kwargs, value)
        if node.op == "call_module":
            return self.network.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_function":
            return node.target(*args, **kwargs)  # type: ignore[operator]
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        found: Any = self.network
        for name in str(node.target).split("."):
            found = getattr(found, name)
        return found


def takes_statistics(module: nn.Module) -> TypeGuard[nn.GroupNorm | nn.InstanceNorm2d]:
    """Whether a module normalises by its whole input, in eval mode too."""
    if isinstance(module, nn.InstanceNorm2d):
        return not module.track_running_stats
    return isinstance(module, nn.GroupNorm)


def graph_of(network: nn.Module, multiple: int, device: torch.device) -> Graph:
    """Take a network in eval mode apart.

    Raises:
        NotLocalError: some step looks at everything, or it is not known how far; or torch.fx cannot follow.
    """
    try:
        traced = fx.GraphModule(network, _Tracer().trace(network))
    except Exception as error:  # whatever stops the tracer: control flow on values, foreign runtimes
        raise NotLocalError(f"torch.fx cannot follow it ({type(error).__name__})") from error
    *nodes, last = traced.graph.nodes
    if [node.op for node in nodes].count("placeholder") != 1 or nodes[0].op != "placeholder":
        raise NotLocalError("it takes more than a photo")
    cartoon = last.args[0]
    if not isinstance(cartoon, fx.Node):
        raise NotLocalError("it returns more than a cartoon")
    nodes = nodes[: nodes.index(cartoon) + 1]
    side = max(16 * multiple, 64)
    graph = Graph(network=traced, nodes=tuple(nodes), channels={}, stride={}, looks={}, dtypes={})
    constant = set[fx.Node]()  # weights and what is made of them alone
    values: dict[fx.Node, Any] = {nodes[0]: torch.zeros(1, 3, side, side, device=device)}
    for node in nodes:
        if node is not nodes[0]:
            values[node] = graph.run(node, values)
        result = values[node]
        if node is not nodes[0] and all(each in constant for each in node.all_input_nodes):
            constant.add(node)
            graph.looks[node] = 0
            continue
        if isinstance(result, Tensor) and result.ndim == 4 and result.shape[0] == 1:
            if result.shape[-1] != result.shape[-2] or not 0 < result.shape[-1] <= 2 * side:
                raise NotLocalError(f"step {node.name} changes the shape to {tuple(result.shape)}")
            graph.channels[node] = result.shape[1]
            graph.stride[node] = max(1, round(side / result.shape[-1]))
            graph.dtypes[node] = result.dtype
        else:
            raise NotLocalError(f"step {node.name} is no picture")
        graph.looks[node] = 0 if node is nodes[0] else _looks(graph, node, values)
    if graph.stride[nodes[-1]] != 1 or graph.channels[nodes[-1]] != 3:
        raise NotLocalError("its cartoon is not of the photo's shape")
    return graph


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own, other convolutions, and ours that compute with sizes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | LegacyUpsample) or super().is_leaf_module(m, module_qualified_name)


_POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Tanh, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Softplus, nn.Identity),
    *(nn.Dropout, nn.Dropout2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm),
)
_POINTWISE_FUNCTIONS = {
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.iadd, operator.isub),
    *(
        torch.add,
        torch.sub,
        torch.mul,
        torch.neg,
        torch.tanh,
        torch.sigmoid,
        torch.relu,
        torch.clamp,
        torch.lerp,
    ),
    *(F.relu, F.leaky_relu, F.elu, F.gelu, F.silu, F.hardtanh, F.relu6, F.tanh, F.sigmoid),
}
_POINTWISE_METHODS = {"add", "sub", "mul", "tanh", "sigmoid", "relu", "clamp", "contiguous", "float", "lerp"}


def _looks(graph: Graph, node: fx.Node, values: dict[fx.Node, Any]) -> int:
    """Return how far a step looks, in photo pixels: a little too far rather than not far enough."""
    inputs = [graph.stride[each] for each in node.all_input_nodes if each in graph.stride]
    coarsest = max(inputs, default=1)
    if node.op == "call_module":
        return coarsest * _module_looks(graph.network.get_submodule(str(node.target)))
    if node.op == "call_function":
        if node.target in _POINTWISE_FUNCTIONS:
            return 0
        if node.target is torch.cat and (node.kwargs.get("dim", (*node.args, 0)[1]) in (1, -3)):
            return 0
        if node.target is F.conv2d and len(node.args) in (2, 3) and not node.kwargs:
            return coarsest * int(max(values[node.all_input_nodes[1]].shape[-2:]) - 1)
        if node.target is F.interpolate:
            asked: dict[str, Any] = {
                **dict(zip(("input", "size", "scale_factor", "mode"), node.args, strict=False)),
                **node.kwargs,
            }
            return coarsest * _resizing_looks(
                asked.get("size"), str(asked.get("mode", "nearest")), asked.get("align_corners")
            )
    if node.op == "call_method" and node.target in _POINTWISE_METHODS:
        return 0
    raise NotLocalError(f"it is not known how far its step {node.name} ({node.target}) looks")


def _module_looks(module: nn.Module) -> int:
    """Return how many places of its input beyond a tile's border a module looks at."""
    if isinstance(module, _POINTWISE):
        return 0
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        spans = [(k - 1) * d for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        if isinstance(module, SameConv) or isinstance(module.padding, str):
            return max(spans)
        sides = [side for p, span in zip(module.padding, spans, strict=True) for side in (p, span - p)]
        if isinstance(module, nn.Conv2d):
            return max(sides)
        # Of s places that come from one, the last looks furthest ahead.
        return max((side + s - 1) // s for side in sides for s in module.stride)
    if isinstance(module, LegacyUpsample):
        return 1
    if isinstance(module, nn.Upsample):
        return _resizing_looks(module.size, module.mode, module.align_corners)
    if isinstance(module, nn.ReflectionPad2d | nn.ZeroPad2d | nn.ReplicationPad2d):
        return max(module.padding)
    if isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
        size = module.kernel_size
        return size if isinstance(size, int) else max(size)
    raise NotLocalError(f"it is not known how far a {type(module).__name__} looks")


def _resizing_looks(size: Any, mode: str, align_corners: bool | None) -> int:
    if size is not None or align_corners:
        raise NotLocalError("it resizes by the picture's size or corners, which differ from tile to tile")
    reaches = {"nearest": 1, "nearest-exact": 1, "bilinear": 1, "bicubic": 2}
    if mode not in reaches:
        raise NotLocalError(f"it is not known how far resizing by mode={mode} looks")
    return reaches[mode]
