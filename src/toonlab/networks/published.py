"""Generators that others published: which of our networks computes the same, and which array goes where.

Each kind's arrays are laid beside our network's parameters in the order of the forward pass, so a kind is a
short list of names. Sizes come from the file: published ones are wide, a test's are narrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from toonlab.errors import UsageError, check_choice
from toonlab.networks.animegan import AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

Arrays = Mapping[str, Tensor]


class Kind(NamedTuple):
    """One family of published generators.

    Attributes:
        marks: names that no other family's files have together.
        network: our class.
        arguments: its constructor's, read off the arrays.
        names: the published names, in the order of our state dict, of a network of that many blocks.
        channels: their order in the pictures that the network was trained on.
        painting: what a stylizer must know besides the generator.
        licence: as the publisher states it.
    """

    marks: tuple[str, ...]
    network: Callable[..., nn.Module]
    arguments: Callable[[Arrays], dict[str, Any]]
    names: Callable[[int], list[str]]
    channels: str = "rgb"
    painting: Mapping[str, Any] = {}
    licence: str = "not stated"


class Imported(NamedTuple):
    """A published generator as one of ours: `node` rebuilds it, `state` fills it; `ignored` has no use."""

    kind: str
    node: dict[str, Any]
    state: dict[str, Tensor]
    painting: dict[str, Any]
    channels: str
    licence: str
    ignored: list[str]


def convert(arrays: Arrays, *, kind: str = "auto", channels: str = "auto", **more: Any) -> Imported:
    """Give published arrays our names and layout; the result takes and paints RGB.

    Args:
        arrays: by their published names.
        kind: a key of `KINDS`, or `auto`: recognised by the names.
        channels: `rgb` or `bgr`, what the network shall be fed with; `auto` is what it was trained on.
        more: arguments of our network that the file does not tell, e.g. `align_corners`.

    Raises:
        UsageError: no kind is recognised, or arrays are missing, too many, or of another shape.
    """
    check_choice("kind", kind, ["auto", *KINDS])
    check_choice("channels", channels, ["auto", "bgr", "rgb"])
    if kind == "auto":
        kind = recognise(arrays)
    family = KINDS[kind]
    arguments = family.arguments(arrays)
    for key in more.keys() - arguments.keys():
        raise UsageError(f"{key}={more[key]}: kind={kind} has no such setting")
    arguments |= more
    with torch.device("meta"):  # a stranger's file decides on the sizes; names and shapes are all we need
        network = family.network(**arguments)
    names = family.names(arguments.get("blocks", 0))
    wanted = network.state_dict()
    ignored = [name for name in arrays if name not in names and _is_statistic(name, arrays)]
    _refuse(kind, "missing", [name for name in names if name not in arrays])
    _refuse(kind, "unexpected", [name for name in arrays if name not in {*names, *ignored}])
    state = {ours: _as_torch(name, arrays[name]) for ours, name in zip(wanted, names, strict=True)}
    misshapen = [
        f"{name} {tuple(state[ours].shape)} for {tuple(wanted[ours].shape)}"
        for ours, name in zip(wanted, names, strict=True)
        if state[ours].shape != wanted[ours].shape
    ]
    _refuse(kind, "of another shape", misshapen)
    channels = family.channels if channels == "auto" else channels
    if channels == "bgr":
        _fold_bgr(state)
    node = {"_target_": f"{family.network.__module__}.{family.network.__name__}", **arguments}
    return Imported(kind, node, state, dict(family.painting), channels, family.licence, ignored)


def recognise(arrays: Arrays) -> str:
    """Return the kind whose marks the names carry.

    Raises:
        UsageError: none.
    """
    for kind, family in KINDS.items():
        if all(mark in arrays for mark in family.marks):
            return kind
    some = ", ".join(list(arrays)[:3])
    raise UsageError(f"the arrays ({some} …) are of no kind we know; kind= one of {', '.join(KINDS)}")


def _refuse(kind: str, what: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        raise UsageError(f"kind={kind}: {len(names)} arrays {what}: {shown}")


def _is_statistic(name: str, arrays: Arrays) -> bool:
    """Whether it is an instance norm's running statistic: old PyTorch saved them, and nothing used them.

    With a batch norm they come beside a weight, and then they matter.
    """
    norm, _, what = name.rpartition(".")
    is_one = what in ("running_mean", "running_var", "num_batches_tracked")
    return is_one and f"{norm}.weight" not in arrays


def _as_torch(name: str, array: Tensor) -> Tensor:
    """Return output, input, height, width from TensorFlow Lite's output, height, width, input."""
    return array.permute(0, 3, 1, 2).contiguous() if name.endswith("_OHWI") and array.ndim == 4 else array


def _fold_bgr(state: dict[str, Tensor]) -> None:
    """Swap the channels of the first and last convolution in place: the network then takes and paints RGB."""
    convolutions = [name for name, value in state.items() if value.ndim == 4]
    state[convolutions[0]] = state[convolutions[0]].flip(1)
    for name in state:
        if name.rpartition(".")[0] == convolutions[-1].rpartition(".")[0]:
            state[name] = state[name].flip(0)


def _width(arrays: Arrays, name: str) -> int:
    if name not in arrays or arrays[name].ndim == 0:
        raise UsageError(f"{name} is missing, or no array; the file begins with {next(iter(arrays))}")
    return len(arrays[name])


def _pairs(layers: Iterable[str], *ends: str) -> list[str]:
    return [f"{layer}{end}" for layer in layers for end in ends]


def _count(arrays: Arrays, pattern: str) -> int:
    return len({match[1] for name in arrays if (match := re.match(pattern, name))})


# White-box: TensorFlow's names, stored by TensorFlow Lite.


def _whitebox_arguments(arrays: Arrays) -> dict[str, Any]:
    return {
        "width": _width(arrays, "generator/Conv/bias"),
        "blocks": _count(arrays, r"generator/block_(\d+)/"),
        "padding": "same_zeros",
        "upsampling": "legacy_bilinear",
    }


def _whitebox_names(blocks: int) -> list[str]:
    inner = [f"block_{i}/conv{j}" for i in range(blocks) for j in (1, 2)]
    layers = ["Conv", *(f"Conv_{i}" for i in range(1, 5)), *inner, *(f"Conv_{i}" for i in range(5, 10))]
    return _pairs((f"generator/{layer}" for layer in layers), "/weight_OHWI", "/bias")


# CartoonGAN: PyTorch names by number; the norms' are counted with the convolutions'.


def _cartoongan_arguments(arrays: Arrays) -> dict[str, Any]:
    return {
        "width": _width(arrays, "conv01_1.weight"),
        "blocks": _count(arrays, r"conv(\d+)_1\.") - 3,
        "upsampling": "deconv",
        "scaling_padding": "zeros",
        "norm_eps": 1e-9,
    }


def _cartoongan_names(blocks: int) -> list[str]:
    def norm(number: int, place: int = 1) -> list[str]:
        return [f"in{number:02}_{place}.scale", f"in{number:02}_{place}.shift"]

    def conv(name: str) -> list[str]:
        return [f"{name}.weight", f"{name}.bias"]

    names = [*conv("conv01_1"), *norm(1)]
    for i in (2, 3):
        names += [*conv(f"conv{i:02}_1"), *conv(f"conv{i:02}_2"), *norm(i)]
    for i in range(4, 4 + blocks):
        for j in (1, 2):
            names += [*conv(f"conv{i:02}_{j}"), *norm(i, j)]
    for i in (1, 2):
        names += [*conv(f"deconv{i:02}_1"), *conv(f"deconv{i:02}_2"), *norm(3 + blocks + i)]
    return [*names, *conv("deconv03_1")]


# CycleGAN: places in junyanz's nn.Sequential; norms have no parameters.


def _cyclegan_arguments(arrays: Arrays) -> dict[str, Any]:
    return {
        "width": _width(arrays, "model.1.weight"),
        "blocks": _count(arrays, r"model\.(\d+)\.conv_block\."),
        "upsampling": "deconv",
    }


def _cyclegan_names(blocks: int) -> list[str]:
    behind = 10 + blocks
    inner = [f"{i}.conv_block.{j}" for i in range(10, behind) for j in (1, 5)]
    layers = [1, 4, 7, *inner, behind, behind + 3, behind + 7]
    return _pairs((f"model.{layer}" for layer in layers), ".weight", ".bias")


# AnimeGANv2: bryandlee's blocks a to e.


def _animegan_arguments(arrays: Arrays) -> dict[str, Any]:
    # As the port's own forward pass has it, and with it torch.hub's pictures.
    return {"width": _width(arrays, "block_a.0.1.weight"), "align_corners": True}


def _animegan_names(_: int) -> list[str]:
    def block(name: str) -> list[str]:
        return [f"{name}.1.weight", *norm(f"{name}.2")]

    def norm(name: str) -> list[str]:
        return [f"{name}.weight", f"{name}.bias"]

    names = [line for place in ("a.0", "a.1", "a.2", "b.0", "b.1", "c.0") for line in block(f"block_{place}")]
    for i in range(1, 5):
        inner = f"block_c.{i}.layers"
        depthwise = [f"{inner}.1.1.weight", f"{inner}.1.1.bias", *norm(f"{inner}.1.2")]
        names += [*block(f"{inner}.0"), *depthwise, f"{inner}.2.weight", *norm(f"{inner}.3")]
    for place in ("c.5", "d.0", "d.1", "e.0", "e.1", "e.2"):
        names += block(f"block_{place}")
    return [*names, "out_layer.0.weight"]


KINDS: dict[str, Kind] = {
    "whitebox": Kind(
        marks=("generator/Conv/weight_OHWI",),
        network=UNet,
        arguments=_whitebox_arguments,
        names=_whitebox_names,
        channels="bgr",
        painting={"output_filter": {"radius": 1, "eps": 5e-3}},  # the authors' cartoonize.py
        licence="CC BY-NC-SA 4.0",
    ),
    "cartoongan": Kind(
        marks=("conv01_1.weight", "in01_1.scale"),
        network=ResnetGenerator,
        arguments=_cartoongan_arguments,
        names=_cartoongan_names,
        channels="bgr",
        licence="Apache-2.0 / MIT",
    ),
    "cyclegan": Kind(
        marks=("model.1.weight", "model.10.conv_block.1.weight"),
        network=CycleResnet,
        arguments=_cyclegan_arguments,
        names=_cyclegan_names,
    ),
    "animegan_v2": Kind(
        marks=("block_a.0.1.weight",),
        network=AnimeGeneratorV2,
        arguments=_animegan_arguments,
        names=_animegan_names,
    ),
}
