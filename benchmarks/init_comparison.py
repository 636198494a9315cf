"""docs/init.jpg: curves and pictures of CartoonGAN runs that differ in `method.init` alone.

    pip install matplotlib
    python benchmarks/init_comparison.py RUN RUN ... [--output docs/init.jpg]

Curves come from each run's metrics.jsonl; the pictures are photographs inside packages, painted by its last
checkpoint (EMA). The runs' command is in docs/representations.md.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import matplotlib as mpl
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab.data.demo import _PICTURES, _find
from toonlab.engine.checkpoint import load_generator
from toonlab.inference.stylizer import Stylizer

mpl.use("Agg")
from matplotlib import pyplot as plt

CURVES = {
    "val/kid_effnetlite0": "KID to the cartoons (lower)",
    "val/content_effnetlite0": "content distance (lower)",
    "val/edge_f1": "edge F1 with the photo (higher)",
}


def curves(runs: dict[str, Path]) -> Image.Image:
    figure, axes = plt.subplots(1, len(CURVES), figsize=(13, 3.6), dpi=100)
    for axis, (key, title) in zip(axes, CURVES.items(), strict=True):
        for name, run in runs.items():
            lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            points = [(line["iteration"], line[key]) for line in lines if key in line]
            axis.plot(*zip(*points, strict=True), marker=".", label=f"init={name}")
        axis.set_title(title)
        axis.set_xlabel("iterations")
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    page = io.BytesIO()
    figure.savefig(page, format="png")
    return Image.open(page).convert("RGB")


def pictures(runs: dict[str, Path], side: int) -> Image.Image:
    painters = {}
    for name, run in runs.items():
        generator = load_generator(run).generator
        painters[name] = Stylizer(generator, multiple=generator.multiple, output_filter=None, tile=None)
    rows = []
    for name in _PICTURES["photos"]:
        picture = im.decode(_find(name)).rgb
        factor = side / min(picture.size)
        picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
        painted = [painter.paint(im.to_tensor(picture)[None])[0] for painter in painters.values()]
        rows.append([picture, *(im.to_picture(image) for image in painted)])
    return im.sheet(rows, ["photo", *(f"init={name}" for name in painters)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, named after their init")
    parser.add_argument("--side", type=int, default=160, help="shorter side of the pictures, pixels")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs/init.jpg")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = {run.name: run for run in arguments.runs}
    above, below = curves(runs), pictures(runs, arguments.side)
    page = Image.new("RGB", (max(above.width, below.width), above.height + below.height), "white")
    page.paste(above, (0, 0))
    page.paste(below, (0, above.height))
    im.save(page, arguments.output, quality=88)
    print(arguments.output)


if __name__ == "__main__":
    main()
