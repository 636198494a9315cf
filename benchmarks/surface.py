"""The guided filter against kornia's on the same job, and edge smoothing; milliseconds of processor time.

    python benchmarks/surface.py [--repeats 11] [--radius 5] [--eps 0.2]

One thread, thread time, the ways in turn, medians. Channel by channel: kornia gets `(B·C, 1, H, W)` grey
guides, one tensor as guide and image for the surface, two for the output filter (whose guide, the photo,
needs no gradient). `guided_blur` is its default call, `separable` its other way. A given gradient goes back.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import kornia
import torch
from kornia.filters import guided_blur
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab.representations.edges import EdgeSmooth
from toonlab.representations.surface import guided_filter

SHAPES = ((16, 3, 256, 256), (1, 3, 720, 1280))
Filter = Callable[[Tensor, Tensor, int, float], Tensor]


def by_kornia(separable: bool) -> Filter:
    def filtered(guide: Tensor, images: Tensor, radius: int, eps: float) -> Tensor:
        flat = images.flatten(0, 1).unsqueeze(1)
        # The same object twice takes kornia's shorter way, as it does ours.
        guides = flat if guide is images else guide.flatten(0, 1).unsqueeze(1)
        return guided_blur(guides, flat, 2 * radius + 1, eps, separable=separable).reshape_as(images)

    return filtered


FILTERS = {"ours": guided_filter, "guided_blur": by_kornia(False), "separable": by_kornia(True)}


def medians(jobs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Milliseconds of this thread's processor time; a first round, to warm up, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            start = time.thread_time()
            job()
            seconds[name].append(time.thread_time() - start)
    return {name: 1e3 * statistics.median(taken[1:]) for name, taken in seconds.items()}


def pictures(*shape: int) -> Tensor:
    """Soft shapes on the 8-bit grid with sharp borders, a little noise: something with edges."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(shape[0], shape[1], shape[2] // 16, shape[3] // 16, generator=rng) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic").clamp(-1, 1)
    noisy = (smooth * 4).round() / 4 + 0.02 * torch.randn(shape, generator=rng)
    return (noisy.clamp(-1, 1) * 127.5).round() / 127.5


def compare_filters(repeats: int, radius: int, eps: float) -> None:
    print("| filter | shape | pass | ours | guided_blur | ratio | separable | ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for shape in SHAPES:
        images = pictures(*shape).requires_grad_()
        photo, gradient = images.detach().flip(-1), torch.randn(shape)
        for what, guide in (("surface", images), ("output", photo)):

            def forward(by: Filter, guide: Tensor = guide, images: Tensor = images) -> Tensor:
                return by(guide, images, radius, eps)

            def both(by: Filter, run=forward, images=images, gradient=gradient) -> None:
                torch.autograd.grad(run(by), images, gradient)

            with torch.no_grad():
                ways = {name: lambda by=by: forward(by) for name, by in FILTERS.items()}
                report(what, shape, "forward", medians(ways, repeats))
            ways = {name: lambda by=by: both(by) for name, by in FILTERS.items()}
            report(what, shape, "forward + backward", medians(ways, repeats))


def report(what: str, shape: tuple[int, ...], way: str, taken: dict[str, float]) -> None:
    ours, plain, separable = (taken[name] for name in FILTERS)
    size = "x".join(map(str, shape))
    print(
        f"| {what} | {size} | {way} | {ours:.1f} | {plain:.1f} | {plain / ours:.1f} "
        f"| {separable:.1f} | {separable / ours:.1f} |",
        flush=True,
    )


def compare_edges(repeats: int) -> None:
    print("\n| edge smoothing, one 256x256 image | ms |\n|---|---|")
    batch = pictures(8, 3, 256, 256)
    for name, feather in (("opencv", 0), ("opencv", 2), ("torch", 0), ("torch", 2)):
        smooth = EdgeSmooth(feather=feather, backend=name)
        taken = medians({name: lambda smooth=smooth: smooth(batch)}, repeats)[name] / len(batch)
        print(f"| {name}, feather {feather} | {taken:.2f} |", flush=True)
    ours, theirs = (EdgeSmooth(backend=name)(batch) for name in ("torch", "opencv"))
    masks = [(smoothed != batch).any(1) for smoothed in (ours, theirs)]
    print(
        f"\nThe two agree on {(masks[0] == masks[1]).double().mean():.6f} of the pixels about being smoothed "
        f"({masks[1].double().mean():.2f} are); mean difference {(ours - theirs).abs().mean():.1e}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--radius", type=int, default=5, help="pixels")
    parser.add_argument("--eps", type=float, default=0.2, help="variance on the [-1, 1] scale")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(
        f"{processor()}, 1 thread, torch {torch.__version__}, kornia {kornia.__version__}, "
        f"OpenCV {cv2.__version__}, radius {options.radius}, eps {options.eps}, "
        f"medians of {options.repeats}, CPU-ms\n"
    )
    compare_filters(options.repeats, options.radius, options.eps)
    compare_edges(options.repeats)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return models[0].split(":")[1].strip() if models else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
