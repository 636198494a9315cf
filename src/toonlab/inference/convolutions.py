"""The same network, faster on a processor: Winograd's convolutions, narrow heads in two steps.

All compute what PyTorch's own do, in another order: pictures differ by float32's rounding.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDE = 64 * 128
"""Input times output channels from which Winograd's is the faster; measured, `benchmarks/inference.py`."""
AT_ONCE = 2**25
"""Input places times channels that Winograd's transforms at once, which takes 7 bytes for each."""
NARROW = 4
"""Output channels up to which a large kernel is split: beyond, processors' vectors are filled well enough."""


def can_be_quicker() -> bool:
    """Say whether this PyTorch has NNPACK, which computes Winograd's convolutions."""
    return bool(torch._nnpack_available())  # and sets it up; without this call it fails


def quicker(network: nn.Module) -> nn.Module:
    """Return a copy of a network that paints the same faster, on a processor and in float32.

    Names and shapes of its weights stay, so styles and packs fit it as before. Elsewhere, and where nothing
    is known to be faster, its convolutions compute as PyTorch does.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        # A class of its own, not a module around it: its weights keep their names.
        if not isinstance(module, nn.Conv2d) or module.groups > 1:
            continue
        if _is_wide(module) and can_be_quicker():
            module.__class__ = _with(_Winograd, type(module))
        elif _is_narrow(module):
            module.__class__ = _with(_Split, type(module))
    _activate_in_place(network)
    return network


def _activate_in_place(network: nn.Module) -> None:
    """Let activations overwrite what nothing but they can see."""
    fresh = nn.Conv2d | nn.ConvTranspose2d | nn.InstanceNorm2d | nn.GroupNorm | nn.BatchNorm2d
    for sequence in (module for module in network.modules() if isinstance(module, nn.Sequential)):
        for before, module in pairwise(sequence):
            if isinstance(before, fresh) and isinstance(module, nn.ReLU | nn.LeakyReLU):
                module.inplace = True


class _Winograd(nn.Conv2d):
    """Lavin & Gray 2016, F(6x6, 3x3): 64 multiplications where the plain way takes 324."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_plain(input):
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        padded, weight = _padded(self, input.contiguous()), weight.contiguous()
        count, channels, height, width = padded.shape
        strip = (
            max(AT_ONCE // (channels * width) // 6, 1) * 6
        )  # rows; of whole 6x6 squares, so that none shows
        if height - 2 <= strip and count == 1:
            return torch._nnpack_spatial_convolution(padded, weight, bias, 0)
        outputs = padded.new_empty(count, len(weight), height - 2, width - 2)
        for whole, out in zip(padded, outputs, strict=True):
            for top in range(0, height - 2, strip):
                rows = whole[None, :, top : top + strip + 2].contiguous()
                out[:, top : top + strip] = torch._nnpack_spatial_convolution(rows, weight, bias, 0)[0]
        return outputs


class _Split(nn.Conv2d):
    """Rows first, as many channels as the kernel has rows; then their sum.

    A convolution to three channels leaves most of a processor's vector unused, one to 21 does not.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_plain(input):
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        outputs, inputs, rows, columns = weight.shape
        across = weight.permute(2, 0, 1, 3).reshape(rows * outputs, inputs, 1, columns)
        partial = F.conv2d(_padded(self, input), across.contiguous(memory_format=torch.channels_last))
        down = torch.eye(outputs)[:, None, :, None] * torch.eye(rows)[:, None, :]
        whole: Tensor = F.conv2d(partial, down.reshape(outputs, rows * outputs, rows, 1), bias)
        return whole


def _with(kind: type[nn.Conv2d], plain: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """Return a subclass of `plain` that computes as `kind`, after padding of its own, as SameConv's."""
    bases = (kind,) if plain is nn.Conv2d else (plain, kind)
    return type(f"{kind.__name__.strip('_')}{plain.__name__}", bases, {})


def _is_wide(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.dilation == (1, 1)
        and conv.in_channels * conv.out_channels >= WIDE
    )


def _is_narrow(conv: nn.Conv2d) -> bool:
    return (
        conv.out_channels <= NARROW and min(conv.kernel_size) >= 5 and conv.stride == conv.dilation == (1, 1)
    )


def _is_plain(input: Tensor) -> bool:
    return (
        input.device.type == "cpu" and input.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    )


def _padded(conv: nn.Conv2d, input: Tensor) -> Tensor:
    around = conv._reversed_padding_repeated_twice
    if not any(around):
        return input
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    return F.pad(input, list(around), mode)
