"""Tiled against whole: largest and mean difference, and a picture of the joins at three times the contrast.

    python benchmarks/tiles.py CHECKPOINT [--tile 256] [--picture docs/tiles.jpg]

The photo is scikit-image's cup of coffee (600x400, CC0).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from toonlab import images
from toonlab.engine.checkpoint import load_generator
from toonlab.inference.stylizer import OutputFilter, Stylizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    loaded = load_generator(asked.checkpoint)
    by = loaded.painting.get("output_filter")
    common: dict[str, Any] = {"multiple": 4, "output_filter": OutputFilter(**by) if by else None}
    photo = images.from_uint8(torch.from_numpy(data.coffee()).permute(2, 0, 1))[None]
    painted = {}
    ways = (("whole", None, "exact"), ("exact", asked.tile, "exact"), ("sampled", asked.tile, "sampled"))
    print("| tiles | seconds of processor | largest difference | mean |")
    print("|---|---|---|---|")
    for name, tile, tiles in ways:
        start = time.process_time()
        painted[name] = Stylizer(loaded.generator, tile=tile, tiles=tiles, **common).paint(photo)
        seconds = time.process_time() - start
        apart = (painted[name] - painted["whole"]).abs() * 127.5
        print(f"| {name} | {seconds:.1f} | {apart.max():.4f} | {apart.mean():.5f} |", flush=True)
    if asked.picture:
        row = [photo, painted["whole"], painted["exact"], (painted["exact"] * 3).clamp(-1, 1)]
        row += [((painted[name] - painted["whole"]) * 3).clamp(-1, 1) for name in ("exact", "sampled")]
        titles = ["photo", "whole", "exact tiles", "exact tiles, 3x contrast"]
        titles += ["3x (exact - whole)", "3x (sampled - whole)"]
        pages = [images.to_picture(x[0]) for x in row]
        page = images.sheet([pages[:3]], titles[:3]), images.sheet([pages[3:]], titles[3:])
        images.save(images.sheet([[page[0]], [page[1]]], [""]), asked.picture, quality=88)


if __name__ == "__main__":
    main()
