"""`quality=full`, `fast` and `broad` on large photos: seconds, and what the whole picture scores.

    python benchmarks/large_photos.py CHECKPOINT PHOTOS CARTOONS [--side 720] [--sheet sheet.png]

Photos are cut to squares of `--side` pixels. The scores look at pictures of 224 pixels
(conf/metrics/lite.yaml): what a large painting looks like from afar, as large as the pictures learned from.
What it looks like from nearby, the sheet shows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image, ImageOps

from toonlab import images
from toonlab.app.cli import CONF, register_resolvers
from toonlab.app.painter import stylizer
from toonlab.engine.checkpoint import load_generator
from toonlab.heap import keep_freed_pictures
from toonlab.inference.convolutions import quicker

QUALITIES = ("full", "fast", "broad")


def square(path: Path, side: int) -> torch.Tensor:
    with Image.open(path) as file:
        fitted = ImageOps.fit(file.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
    return images.to_tensor(fitted)[None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("cartoons", type=Path)
    parser.add_argument("--side", type=int, default=720)
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    keep_freed_pictures()
    loaded = load_generator(asked.checkpoint)
    loaded = loaded._replace(generator=quicker(loaded.generator))
    ways = {
        quality: stylizer(loaded, device=torch.device("cpu"), tile=None, quality=quality).paint
        for quality in QUALITIES
    }
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        metrics = compose("eval", ["ckpt=none", "metrics=lite"]).metrics
    suites, seconds, rows = {way: instantiate(metrics) for way in ways}, dict.fromkeys(ways, 0.0), []
    photos, cartoons = (sorted(folder.glob("*.[jp][pn]g")) for folder in (asked.photos, asked.cartoons))
    for paint in ways.values():
        paint(square(photos[0], asked.side))  # the first one allocates
    for path in photos:
        photo = square(path, asked.side)
        row = [images.to_picture(photo[0])]
        for way, paint in ways.items():
            begun = time.perf_counter()
            painted = paint(photo)
            seconds[way] += time.perf_counter() - begun
            suites[way].add_painted(painted, photo)
            row.append(images.to_picture(painted[0]))
        rows.append(row)
    print("| quality | seconds a photo | KID ratio | KID | content | edge F1 |\n|---|---|---|---|---|---|")
    for way, suite in suites.items():
        for path in cartoons:
            with Image.open(path) as file:
                suite.add_targets(images.to_tensor(ImageOps.fit(file.convert("RGB"), (256, 256)))[None])
        scores = suite.compute().scores
        kid, content, edges = (scores[name] for name in ("kid_effnetlite0", "content_effnetlite0", "edge_f1"))
        values = [kid.value / kid.source_as_is, kid.value, content.value, edges.value]
        said = " | ".join(f"{value:.3f}" for value in values)
        print(f"| {way} | {seconds[way] / len(photos):.2f} | {said} |", flush=True)
    if asked.sheet:
        images.save(images.sheet(rows, ["photo", *QUALITIES]), asked.sheet)


if __name__ == "__main__":
    main()
