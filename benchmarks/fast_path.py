"""`quality=fast` against full quality: processor time, distance, and how sharp it is, on real photos.

    python benchmarks/fast_path.py CHECKPOINT PHOTOS... [--size 1280x720] [--sheet docs/fast_path.jpg]

Distances are to the full-quality cartoon of the same photo: mean absolute difference in levels of 255;
features, LPIPS with all learnt weights at 1 (`metrics.content.map_distance`) on EfficientNet-Lite0; edge F1;
and the mean gradient as a share of the full cartoon's, below 1 where lines are washed out.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from toonlab import images
from toonlab.engine.checkpoint import load_generator
from toonlab.inference import fast
from toonlab.inference.fast import Fast
from toonlab.inference.stylizer import OutputFilter, Stylizer
from toonlab.metrics.content import edge_f1, edges, map_distance
from toonlab.networks.frozen import EfficientNetLite0

SETTINGS = [
    *(Fast(side=side) for side in (400, 320, 512)),
    *(Fast(side=400, radius=radius) for radius in (1, 4)),
    *(Fast(side=400, eps=eps) for eps in (1e-4, 1e-2)),
]


class Distances:
    def __init__(self) -> None:
        self.features = EfficientNetLite0(taps=["block0", "block2", "block4"]).eval()

    def between(self, ours: Tensor, full: Tensor) -> tuple[float, float, float, float]:
        with torch.inference_mode():
            pairs = zip(self.features(ours).values(), self.features(full).values(), strict=True)
            features = torch.stack([map_distance(a, b) for a, b in pairs]).mean()
        edge = [edges(x, thresholds=(100, 200), tolerance=1) for x in (ours, full)]
        return (
            float((ours - full).abs().mean() * 127.5),
            float(features),
            float(edge_f1(*edge)),
            sharpness(ours) / sharpness(full),
        )


def sharpness(image: Tensor) -> float:
    return float(image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean())


def timed(stylizer: Stylizer, photo: Tensor) -> tuple[Tensor, float]:
    start = time.process_time()
    cartoon = stylizer.paint(photo)
    return cartoon, time.process_time() - start


def plain(stylizer: Stylizer, photo: Tensor, side: int) -> Tensor:
    """The alternative without any filter: enlarge the small cartoon."""
    size = fast.small_size(*photo.shape[-2:], side)
    small = stylizer.paint(F.interpolate(photo, size=size, mode="area"))
    return F.interpolate(small, size=photo.shape[-2:], mode="bicubic", align_corners=False).clamp(-1, 1)


def with_detail(stylizer: Stylizer, photo: Tensor, side: int) -> Tensor:
    """The alternative of adding the photo's fine detail to the enlarged cartoon."""
    size = fast.small_size(*photo.shape[-2:], side)
    coarse = F.interpolate(
        F.interpolate(photo, size=size, mode="area"), size=photo.shape[-2:], mode="bicubic"
    )
    return (plain(stylizer, photo, side) + 0.7 * (photo - coarse)).clamp(-1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    size = tuple(map(int, asked.size.split("x")))
    loaded = load_generator(asked.checkpoint)
    by = loaded.painting.get("output_filter")
    common = {"multiple": 4, "output_filter": OutputFilter(**by) if by else None}
    tile = None if size[0] <= 1280 else 1024
    full = Stylizer(loaded.generator, tile=tile, **common)
    distances = Distances()
    small = torch.zeros(1, 3, 64, 64)
    full.paint(small)
    found: dict[str, list[tuple[float, ...]]] = {}
    shown = []
    for path in asked.photos:
        photo = images.to_tensor(Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS))[None]
        whole, seconds = timed(full, photo)
        print(f"# {path.name}: full {seconds:.2f} s of processor", flush=True)
        for setting in SETTINGS:
            cartoon, took = timed(Stylizer(loaded.generator, tile=tile, fast=setting, **common), photo)
            name = f"side={setting.side} radius={setting.radius} eps={setting.eps:g}"
            found.setdefault(name, []).append((seconds / took, took, *distances.between(cartoon, whole)))
            print(f"# {name}: {found[name][-1]}", flush=True)
            if setting == Fast():
                shown.append((photo, whole, cartoon))
        for name, alternative in (("enlarged only", plain), ("enlarged + detail", with_detail)):
            start = time.process_time()
            cartoon = alternative(full, photo, Fast().side)
            took = time.process_time() - start
            found.setdefault(f"side=400 {name}", []).append(
                (seconds / took, took, *distances.between(cartoon, whole))
            )
            print(f"# {name}: {found[f'side=400 {name}'][-1]}", flush=True)
            shown[-1] += (cartoon,)
    print("| setting | full / fast | seconds | levels | features | edge F1 | gradient |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in found.items():
        times, took, levels, features, edge, gradient = np.median(rows, axis=0)
        print(
            f"| {name} | {times:.1f} | {took:.2f} | {levels:.1f} | {features:.3f} "
            f"| {edge:.2f} | {gradient:.2f} |"
        )
    if asked.sheet:
        cut = slice(size[1] // 3, size[1] // 3 + 300), slice(size[0] // 3, size[0] // 3 + 400)
        rows = [[images.to_picture(x[0][:, cut[0], cut[1]]) for x in row] for row in shown]
        images.save(
            images.sheet(rows, ["photo", "full", "fast", "enlarged only", "enlarged + detail"]), asked.sheet
        )


if __name__ == "__main__":
    main()
