"""Milliseconds per frame of every generator that is shipped, by every way to run it.

    python benchmarks/inference.py [--generators unet cartoongan] [--size 720 1280] [--rounds 5]

On a processor: PyTorch eager, as in a program of one's own; `eager kept`, the same with freed memory kept, as
src/stylize.py keeps it for films, and so in all the ways below; channels_last; bf16 (where the processor has
it) and torch.compile, both with memory as in eager; ONNX Runtime and OpenVINO (the exported file, as
`runtime=` paints); `winograd`, how src/stylize.py paints films by default; and `quality=fast`. On a GPU:
eager, channels_last, fp16, bf16, and bf16 compiled, timed with CUDA events. The network alone, without the
output filter or files; `quality=fast` is a way of painting, so all that it does. Weights are random: time
does not depend on them.

Each way has a process of its own, and they take turns, one frame each, round after round, so that a busy
machine is busy for all of them. Figures are medians over rounds; `ratio` is eager's time over theirs, round
by round, of wall and of processor time; `differs` is the largest distance from eager's picture on [-1, 1], of
the first, untimed frame.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands do: threads that wait do not spin

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from inference_ways import GENERATORS, GPU, PROCESSOR, Case, Timed, built, work

from toonlab.inference.cost import gmacs, parameters


def heard(way: str, connection: Connection) -> Timed | float | str:
    """Return what a way's process says next."""
    try:
        return connection.recv()
    except EOFError:
        sys.exit(f"{way}: its process ended, for want of memory perhaps; measure fewer ways at once: --ways")


def measure(cases: list[Case], rounds: int) -> None:
    """Print a generator's rows."""
    name, _, size, _, _, folder = cases[0]
    generator = built(name)
    about = f"| {name} | {parameters(generator) / 1e6:.2f} | {gmacs(generator, *size):.1f} |"
    spawn, ready = multiprocessing.get_context("spawn"), {}
    for case in cases:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=work, args=(theirs, case), daemon=True)
        process.start()
        theirs.close()
        said = heard(case.way, ours)
        if isinstance(said, str):
            print(f"{about} {case.way} | {said} | | | | |", flush=True)
            continue
        ready[case.way] = ours
        print(f"{name} {case.way}: ready after {said:.1f} s", file=sys.stderr, flush=True)
    times: dict[str, list[Timed]] = {each: [] for each in ready}
    for done in range(rounds):
        for each, connection in ready.items():
            with contextlib.suppress(BrokenPipeError):
                connection.send(True)
            times[each].append(heard(each, connection))
            wall, processor = times[each][-1]
            print(f"{name} {each}: {wall:.3f} s, processor {processor:.3f} s", file=sys.stderr, flush=True)
        print(f"{name}: round {done + 1} of {rounds}", file=sys.stderr, flush=True)
    for connection in ready.values():
        connection.send(False)
    pictures = {each: torch.load(folder / f"{each}.pt") for each in ready}
    first = cases[0].way
    for each, its in times.items():
        ratios = [
            statistics.median(
                getattr(a, key) / getattr(b, key) for a, b in zip(times[first], its, strict=True)
            )
            for key in Timed._fields
        ]
        wall, processor = (1000 * statistics.median(getattr(t, key) for t in its) for key in Timed._fields)
        differs = float((pictures[each] - pictures[first]).abs().max())
        print(
            f"{about} {each} | {wall:.1f} | {processor:.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} "
            f"| {differs:.1g} |",
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
    on_gpu = options.device.startswith("cuda")
    if min(options.size) < 16 or any(side % 4 for side in options.size):
        parser.error("--size: both sides divide by 4 and are 16 or more")
    if options.rounds < 1:
        parser.error("--rounds: 1 or more")
    known = GPU if on_gpu else PROCESSOR
    names = options.ways or list(known)
    if wrong := [name for name in names if name not in known]:
        parser.error(f"--ways {wrong[0]}: use some of {', '.join(known)}")
    where = torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine()
    height, width = options.size
    print(
        f"{width}x{height}, {where}, {options.threads} threads, torch {torch.__version__}, "
        f"{options.rounds} rounds"
    )
    print(
        "| generator | M parameters | GMACs | way | ms | processor ms | ratio | ratio, processor | differs |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.generators:
        with tempfile.TemporaryDirectory() as folder:
            cases = [
                Case(name, way, (height, width), options.device, options.threads, Path(folder))
                for way in names
            ]
            measure(cases, options.rounds)


if __name__ == "__main__":
    main()
