"""`quality=fast` against full quality: time, distance, and how sharp it is, on real photos.

    python benchmarks/fast_path.py CHECKPOINT PHOTOS... [--size 1280x720] [--settings 512,2,1e-3 400,4,1e-3]
    python benchmarks/fast_path.py CHECKPOINT --sheet docs/fast_path.jpg      # scikit-image's photos

Full quality is what src/stylize.py paints by default, in tiles of 1024 where they are needed, with freed
memory kept, as for films. Photos are cut to the size's proportions about their middle and resized to it. Each
is painted every way `--rounds` times in turn, so that a busy machine is busy for all ways. Plain PyTorch is
timed by `benchmarks/inference.py`.
Ratios are full quality's seconds over a way's, of the processor and of the wall, medians over rounds.

Distances are to the full-quality cartoon, means over photos: mean absolute difference in levels of 255;
features, LPIPS with all learnt weights at 1 (`metrics.content.map_distance`) on EfficientNet-Lite0; edge F1;
and the mean gradient as a share of the full cartoon's, below 1 where lines are washed out.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands do: threads that wait do not spin

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage import data
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images
from toonlab.engine.checkpoint import load_generator
from toonlab.heap import keep_freed_pictures
from toonlab.inference import fast
from toonlab.inference.convolutions import quicker
from toonlab.inference.fast import Fast
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.metrics.content import edge_f1, edges, map_distance
from toonlab.networks.frozen import EfficientNetLite0

Way = Callable[[Tensor], Tensor]


class Against:
    """Distances to one full-quality cartoon."""

    def __init__(self, full: Tensor, network: nn.Module) -> None:
        self.full, self.network = full, network
        self.features, self.edges, self.gradient = network(full), canny(full), gradient(full)

    def distances(self, ours: Tensor) -> tuple[float, float, float, float]:
        features = self.network(ours)
        apart = [map_distance(features[tap], self.features[tap]) for tap in features]
        return (
            float((ours - self.full).abs().mean() * 127.5),
            float(torch.stack(apart).mean()),
            float(edge_f1(canny(ours), self.edges)),
            gradient(ours) / self.gradient,
        )


def canny(image: Tensor) -> tuple[Tensor, Tensor]:
    return edges(image, thresholds=(100, 200), tolerance=1)


def gradient(image: Tensor) -> float:
    return float(image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean())


def enlarged(stylizer: Stylizer, side: int, *, detail: float = 0.0) -> Way:
    """The alternatives without edges: enlarge the small cartoon, and add some of the photo's fine detail."""

    def paint(photo: Tensor) -> Tensor:
        size = photo.shape[-2:]
        small = F.interpolate(photo, size=fast.small_size(*size, side), mode="area")
        cartoon = F.interpolate(stylizer.paint(small), size=size, mode="bilinear")
        if detail:
            cartoon = cartoon + detail * (photo - F.interpolate(small, size=size, mode="bilinear"))
        return cartoon.clamp(-1, 1)

    return paint


def joint_bilateral(stylizer: Stylizer, side: int, *, radius: int = 2, tone: float = 0.2) -> Way:
    """Kopf et al. 2007: each pixel a mean of small ones near it, by how alike the photo is there and here."""

    def paint(photo: Tensor) -> Tensor:
        height, width = photo.shape[-2:]
        high, wide = fast.small_size(height, width, side)
        small = F.interpolate(photo, size=(high, wide), mode="area")
        both = F.pad(torch.cat([small, stylizer.paint(small)], dim=1), (radius,) * 4, mode="replicate")
        off_row, off_column = (
            (torch.arange(large) + 0.5) * few / large - 0.5 - torch.arange(large) * few // large
            for large, few in ((height, high), (width, wide))
        )
        total, weights = torch.zeros_like(photo), torch.zeros_like(photo[:, :1])
        for row in range(-radius, radius + 1):
            for column in range(-radius, radius + 1):
                part = both[..., radius + row :, radius + column :][..., :high, :wide]
                theirs, cartoon = F.interpolate(part, size=(height, width)).split(3, dim=1)
                apart = (off_row - row)[:, None] ** 2 + (off_column - column) ** 2
                unlike = (theirs - photo).square().sum(1, keepdim=True)
                weight = torch.exp(-unlike / (2 * tone**2) - apart) + 1e-8
                total, weights = total + weight * cartoon, weights + weight
        return total / weights

    return paint


class Timed(NamedTuple):
    wall: float
    processor: float


def timed(way: Way, photo: Tensor) -> tuple[Tensor, Timed]:
    wall, processor = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        cartoon = way(photo)
    return cartoon, Timed(time.perf_counter() - wall, time.process_time() - processor)


def setting(text: str) -> Fast:
    side, radius, eps = text.split(",")
    return Fast(side=int(side), radius=int(radius), eps=float(eps))


def ways_of(checkpoint: Path, settings: list[Fast], *, alternatives: bool) -> dict[str, Way]:
    loaded = load_generator(checkpoint)
    common: dict[str, Any] = {
        "multiple": 4,
        "output_filter": OutputFilter.of(loaded.painting),
        "tile": 1024,
    }
    generator = quicker(loaded.generator)
    full = Stylizer(generator, **common)
    ways = {"full": full.paint}
    for each in settings:
        name = f"side {each.side}, radius {each.radius}, eps {each.eps:g}"
        ways[name] = Stylizer(generator, small=each, **common).paint
    side = settings[0].side
    if not alternatives:
        return ways
    return ways | {
        f"side {side}, enlarged": enlarged(full, side),
        f"side {side}, enlarged, with 0.7 of the photo's detail": enlarged(full, side, detail=0.7),
        f"side {side}, joint bilateral": joint_bilateral(full, side),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", type=setting, nargs="+", default=[Fast()])
    parser.add_argument("--alternatives", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    keep_freed_pictures()
    ways = ways_of(asked.checkpoint, asked.settings, alternatives=asked.alternatives)
    size = tuple(map(int, asked.size.split("x")))
    network = EfficientNetLite0(taps=["block0", "block2", "block4"]).eval()
    seconds: dict[str, list[Timed]] = {name: [] for name in ways}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    for way in ways.values():  # the first one allocates
        timed(way, torch.zeros(1, 3, 256, 256))
    for path in asked.photos:
        with Image.open(path) as file:
            photo = images.to_tensor(ImageOps.fit(file.convert("RGB"), size, Image.Resampling.LANCZOS))[None]
        for again in range(asked.rounds):
            for name, way in ways.items():
                cartoon, took = timed(way, photo)
                seconds[name].append(took)
                if again == 0:
                    with torch.inference_mode():
                        if name == "full":
                            against = Against(cartoon, network)
                        found[name].append(against.distances(cartoon))
        print(f"# {path.name}: full {seconds['full'][-1]}", file=sys.stderr, flush=True)
    if asked.photos:
        table(seconds, found)
    if asked.sheet:
        images.save(pictures(asked.checkpoint, asked.settings[0], size[0]), asked.sheet, quality=90)


def table(seconds: dict[str, list[Timed]], found: dict[str, list[tuple[float, ...]]]) -> None:
    print(f"{torch.get_num_threads()} threads")
    print("| way | processor, s | ratio | ratio of wall | levels | features | edge F1 | gradient |")
    print("|---|---|---|---|---|---|---|---|")
    for name, rows in found.items():
        pairs = list(zip(seconds["full"], seconds[name], strict=True))
        processor = statistics.median(ours.processor for _, ours in pairs)
        ratio = statistics.median(full.processor / ours.processor for full, ours in pairs)
        wall = statistics.median(full.wall / ours.wall for full, ours in pairs)
        levels, features, edge, sharp = np.mean(rows, axis=0)
        print(
            f"| {name} | {processor:.2f} | {ratio:.1f} | {wall:.1f} | {levels:.1f} | {features:.3f} "
            f"| {edge:.2f} | {sharp:.2f} |"
        )


def pictures(checkpoint: Path, default: Fast, width: int) -> Image.Image:
    """Crops of scikit-image's photos at their own size: photo, full, fast.

    They are smaller than what `fast` is for: the copy's side is as much smaller than theirs as
    `default.side` is than `width`.
    """
    rows = []
    for name, left, top in (("astronaut", 120, 0), ("coffee", 170, 60), ("chelsea", 80, 20)):
        photo = images.to_tensor(Image.fromarray(getattr(data, name)()))[None]
        photo = photo[..., : photo.shape[-2] // 4 * 4, : photo.shape[-1] // 4 * 4]
        side = round(max(photo.shape[-2:]) * default.side / width)
        with torch.inference_mode():
            ways = ways_of(checkpoint, [dataclasses.replace(default, side=side)], alternatives=False)
            row = [photo, *(way(photo) for way in ways.values())]
        rows.append([images.to_picture(x[0, :, top : top + 260, left : left + 330]) for x in row])
    return images.sheet(rows, ["photo", "full", "fast"])


if __name__ == "__main__":
    main()
