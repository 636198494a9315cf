"""A generator as exporters like it: the same picture from plainer operations.

TensorFlow's padding and doubling count pixels, which a tracer follows with symbols for minutes; for sides
that divide by the generator's `multiple` the counts are constants.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.layers import LegacyUpsample, SameConv


def exportable(generator: nn.Module, *, half: bool = False) -> nn.Module:
    """Return a copy on the CPU in eval mode, for sides that divide by `generator.multiple`.

    Args:
        generator: left as it is.
        half: convolutions in float16; norms stay in float32, because their sums over a picture do not fit.
    """
    network = (
        copy.deepcopy(generator).cpu().eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    )
    if half:
        network.half()
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, SameConv):
                setattr(parent, name, _SameConv(module))
            elif isinstance(module, LegacyUpsample):
                setattr(parent, name, _LegacyUpsample())
            elif half and isinstance(module, nn.InstanceNorm2d | nn.GroupNorm):
                setattr(parent, name, _InFloat(module))
    return network


class _SameConv(nn.Module):
    """`SameConv` of sides that divide by its stride."""

    def __init__(self, conv: SameConv) -> None:
        super().__init__()
        self.conv = conv
        self.pads: list[int] = []
        for kernel, stride in zip(conv.kernel_size, conv.stride, strict=True):
            missing = max(kernel - stride, 0)
            self.pads = [missing // 2, missing - missing // 2, *self.pads]

    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self.conv, F.pad(x, self.pads))


class _LegacyUpsample(nn.Module):
    """`LegacyUpsample` without slices of counted length."""

    def forward(self, x: Tensor) -> Tensor:
        below = F.pad(x, (0, 0, 0, 1), mode="replicate")[:, :, 1:]
        x = torch.stack([x, (x + below) / 2], 3).flatten(2, 3)
        right = F.pad(x, (0, 1, 0, 0), mode="replicate")[..., 1:]
        return torch.stack([x, (x + right) / 2], 4).flatten(3, 4)


class _InFloat(nn.Module):
    """A norm in float32 between halves."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x.float()).to(x.dtype)
        return normed
