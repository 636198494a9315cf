"""The generators and the ways to run them that `inference.py` times, each way in a process of its own."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toonlab.app.precision import is_native
from toonlab.errors import UsageError
from toonlab.heap import keep_freed_pictures
from toonlab.inference.convolutions import quicker
from toonlab.inference.onnx_file import write_onnx
from toonlab.inference.runtimes import OnnxNetwork
from toonlab.inference.sample_photos import sample_photos
from toonlab.inference.stylizer import Fast, Stylizer
from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.cycle_resnet import CycleResnet
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "unet": UNet,
    "anime_scene": lambda: UNet(full_skip="concatenate"),
    "cartoongan": ResnetGenerator,
    "animegan_v1": AnimeGeneratorV1,
    "animegan_v2": AnimeGeneratorV2,
    "cyclegan": CycleResnet,
}
PROCESSOR = (
    *("eager", "eager kept", "channels_last", "bf16", "compile"),
    *("onnxruntime", "openvino", "winograd", "quality=fast"),
)
GPU = ("eager", "channels_last", "fp16", "bf16", "bf16 compile")
PLAIN = ("eager", "bf16", "compile")
"""On a processor, ways in which memory is handled as in any program; in others as films are painted."""
WARM = 5.0
"""Seconds of a first frame that is warm-up enough."""

Way = Callable[[Tensor], Tensor]


class Case(NamedTuple):
    """What one process paints."""

    generator: str
    way: str
    size: tuple[int, int]
    device: str
    threads: int
    folder: Path


class Timed(NamedTuple):
    """One frame: seconds on the wall and of the processor."""

    wall: float
    processor: float


def work(connection: Connection, case: Case) -> None:
    """Make ready, say so, and paint a frame whenever asked, until told to end."""
    torch.set_num_threads(case.threads)
    if case.device == "cpu" and case.way not in PLAIN:
        keep_freed_pictures()
    photo = torch.nn.functional.interpolate(sample_photos()[0][None], size=case.size, mode="bilinear")
    photo = photo.to(case.device)
    try:
        paint = way(case, built(case.generator))
    except UsageError as error:
        connection.send(str(error))
        return
    began = time.perf_counter()
    torch.save(paint(photo).float().cpu(), case.folder / f"{case.way}.pt")
    if time.perf_counter() - began < WARM:
        paint(photo)
    connection.send(time.perf_counter() - began)
    while connection.recv():
        connection.send(timed(paint, photo))


def built(name: str) -> nn.Module:
    """Return a generator with the same random weights in every process."""
    torch.manual_seed(0)
    return GENERATORS[name]().eval().requires_grad_(False)


def way(case: Case, generator: nn.Module) -> Way:
    """Make one way to paint `(1, 3, H, W)`.

    Raises:
        UsageError: this machine or this installation has none such.
    """
    name, device = case.way, torch.device(case.device)
    if name in ("onnxruntime", "openvino"):
        path = case.folder / f"{name}.onnx"
        write_onnx(path, generator)
        return OnnxNetwork(path, name)
    if name in ("winograd", "quality=fast"):
        fast = Fast() if name == "quality=fast" else None
        multiple = getattr(generator, "multiple", 1)
        return Stylizer(
            quicker(generator), multiple=multiple, output_filter=None, tile=None, device=device, small=fast
        ).paint
    if name == "bf16" and device.type == "cpu" and not is_native("bf16-mixed"):
        raise UsageError("no native bf16 here: emulated, it is slower than float32 many times over")
    plain = name in ("eager", "eager kept", "compile")
    layout = torch.contiguous_format if plain else torch.channels_last
    network = copy.deepcopy(generator).to(device=device, memory_format=layout)
    if "compile" in name:
        network.compile()
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(name.partition(" ")[0])

    def paint(photo: Tensor) -> Tensor:
        autocast = torch.autocast(device.type, dtype=dtype) if dtype else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            return network(photo.contiguous(memory_format=layout))

    return paint


def timed(paint: Way, photo: Tensor) -> Timed:
    """Paint one frame; on a GPU ten, and their mean."""
    if photo.is_cuda:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(10):
            paint(photo)
        end.record()
        torch.cuda.synchronize()
        return Timed(begin.elapsed_time(end) / 1e4, float("nan"))
    wall, processor = time.perf_counter(), time.process_time()
    paint(photo)
    return Timed(time.perf_counter() - wall, time.process_time() - processor)
