"""Milliseconds per frame of every generator that is shipped, by every way to run it.

    python benchmarks/inference.py [--generators unet cartoongan] [--size 720 1280] [--rounds 5]

On a processor: PyTorch eager, channels_last, bf16 (where the processor has it), torch.compile, ONNX Runtime
and OpenVINO (the exported file, as `runtime=` paints), and `quality=fast`. On a GPU: eager, channels_last,
fp16, bf16, and bf16 compiled, timed with CUDA events. The network alone, without the output filter or files;
`quality=fast` is a way of painting, so all that it does. Weights are random: time does not depend on them.

Ways are interleaved, one frame each, round after round, so that a busy machine is busy for all of them.
Figures are medians over rounds; `ratio` is eager's time over theirs, round by round, of wall and of processor
time; `differs` is the largest distance from eager's picture on [-1, 1], of the first, untimed frame.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands do: threads that wait do not spin

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab.app.precision import is_native
from toonlab.errors import UsageError
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
PROCESSOR = ("eager", "channels_last", "bf16", "compile", "onnxruntime", "openvino", "quality=fast")
GPU = ("eager", "channels_last", "fp16", "bf16", "bf16 compile")

Way = Callable[[Tensor], Tensor]


class Timed(NamedTuple):
    """One frame: seconds on the wall and of the processor."""

    wall: float
    processor: float


def ways(generator: nn.Module, names: list[str], device: torch.device, folder: Path) -> Iterator[tuple]:
    """Yield `(name, way to paint, None)`, or `(name, None, why not)`."""
    for name in names:
        try:
            yield name, way(name, generator, device, folder), None
        except UsageError as error:
            yield name, None, str(error)


def way(name: str, generator: nn.Module, device: torch.device, folder: Path) -> Way:
    """Make one way to paint `(1, 3, H, W)`.

    Raises:
        UsageError: this machine or this installation has none such.
    """
    if name in ("onnxruntime", "openvino"):
        path = folder / f"{type(generator).__name__}.onnx"
        if not path.exists():
            write_onnx(path, generator)
        return OnnxNetwork(path, name)
    network = copy.deepcopy(generator)
    if name == "quality=fast":
        fast = Stylizer(
            network,
            multiple=getattr(network, "multiple", 1),
            output_filter=None,
            tile=None,
            device=device,
            fast=Fast(),
        )
        return fast.paint
    if name == "bf16" and device.type == "cpu" and not is_native("bf16-mixed"):
        raise UsageError("no native bf16 here: emulated, it is slower than float32 many times over")
    layout = torch.contiguous_format if name in ("eager", "compile") else torch.channels_last
    network = network.to(device=device, memory_format=layout)
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


def gmacs(generator: nn.Module, height: int, width: int) -> float:
    """Count multiplications of a frame, in thousand millions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(generator).to("meta")(torch.empty(1, 3, height, width, device="meta"))
    return counter.get_total_flops() / 2e9


def measure(
    name: str, names: list[str], size: tuple[int, int], rounds: int, device: torch.device, folder: Path
) -> None:
    """Print a generator's rows."""
    torch.manual_seed(0)
    generator = GENERATORS[name]().eval().requires_grad_(False)
    photo = torch.nn.functional.interpolate(sample_photos()[0][None], size=size, mode="bilinear").to(device)
    parameters = sum(p.numel() for p in generator.parameters())
    about = f"| {name} | {parameters / 1e6:.2f} | {gmacs(generator, *size):.1f} |"
    ready: dict[str, Way] = {}
    differs: dict[str, float] = {}
    wanted: Tensor | None = None
    for each, paint, reason in ways(generator, names, device, folder):
        if paint is None:
            print(f"{about} {each} | {reason} | | | | |", flush=True)
            continue
        began = time.perf_counter()
        picture = paint(photo).float()
        if wanted is None:
            wanted = picture
        ready[each], differs[each] = paint, float((picture - wanted).abs().max())
        print(f"{name} {each}: ready after {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    times: dict[str, list[Timed]] = {each: [] for each in ready}
    for done in range(rounds):
        for each, paint in ready.items():
            times[each].append(timed(paint, photo))
            wall, processor = times[each][-1]
            print(f"{name} {each}: {wall:.3f} s, processor {processor:.3f} s", file=sys.stderr, flush=True)
        print(f"{name}: round {done + 1} of {rounds}", file=sys.stderr, flush=True)
    first = times[names[0]]
    for each, its in times.items():
        ratios = [
            statistics.median(getattr(a, key) / getattr(b, key) for a, b in zip(first, its, strict=True))
            for key in Timed._fields
        ]
        wall, processor = (1000 * statistics.median(getattr(t, key) for t in its) for key in Timed._fields)
        print(
            f"{about} {each} | {wall:.1f} | {processor:.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} "
            f"| {differs[each]:.1g} |",
            flush=True,
        )


def main() -> None:
    """Measure what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generators", nargs="+", choices=GENERATORS, default=list(GENERATORS))
    parser.add_argument("--ways", nargs="+", help="some of the ways; the first is what ratios are against")
    parser.add_argument("--size", nargs=2, type=int, default=(720, 1280), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    if min(options.size) < 16 or any(side % 4 for side in options.size):
        parser.error("--size: both sides divide by 4 and are 16 or more")
    if options.rounds < 1:
        parser.error("--rounds: 1 or more")
    known = GPU if device.type == "cuda" else PROCESSOR
    names = options.ways or list(known)
    if wrong := [name for name in names if name not in known]:
        parser.error(f"--ways {wrong[0]}: use some of {', '.join(known)}")
    where = (
        torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    )
    height, width = options.size
    print(
        f"{width}x{height}, {where}, {options.threads} threads, torch {torch.__version__}, "
        f"{options.rounds} rounds"
    )
    print(
        "| generator | M parameters | GMACs | way | ms | processor ms | ratio | ratio, processor | differs |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.generators:
            measure(name, names, (height, width), options.rounds, device, Path(folder) / name)


if __name__ == "__main__":
    main()
