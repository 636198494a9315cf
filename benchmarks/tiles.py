"""Tiled against whole: largest and mean difference, and a picture of the joins at three times the contrast.

    python benchmarks/tiles.py CHECKPOINT [--photo FILE] [--tile 256] [--picture docs/tiles.jpg]

Without a photo it is scikit-image's cup of coffee (600x400, CC0). Tiles are squares of `--tile`, those of the
exact way half as wide, so a photo of 600x400 has a dozen and more.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from toonlab import images
from toonlab.engine.checkpoint import load_generator
from toonlab.inference.stylizer import OutputFilter, Stylizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    loaded = load_generator(asked.checkpoint)
    common: dict[str, Any] = {"multiple": 4, "output_filter": OutputFilter.of(loaded.painting)}
    picture = Image.open(asked.photo).convert("RGB") if asked.photo else Image.fromarray(data.coffee())
    photo = images.to_tensor(picture)[None]
    print(f"{picture.width}x{picture.height}, tile {asked.tile}")
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
        ways = ("whole", "exact", "sampled")
        contrast = {way: images.to_picture((painted[way][0] * 3).clamp(-1, 1)) for way in ways}
        apart = {way: ((painted[way] - painted["whole"])[0] * 3).clamp(-1, 1) for way in ways}
        apart = {way: images.to_picture(x) for way, x in apart.items()}
        rows = [
            [contrast["whole"], contrast["exact"], contrast["sampled"]],
            [images.to_picture(painted["whole"][0]), apart["exact"], apart["sampled"]],
        ]
        titles = (
            ["whole, 3x contrast", "exact tiles, 3x contrast", "sampled tiles, 3x contrast"],
            ["whole", "3x (exact - whole)", "3x (sampled - whole)"],
        )
        pages = [[images.sheet([row], words)] for row, words in zip(rows, titles, strict=True)]
        images.save(images.sheet(pages, [""]), asked.picture, quality=85)


if __name__ == "__main__":
    main()
