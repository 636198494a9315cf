"""Seconds and peak memory of painting one picture of a given size, each case in a process of its own.

    python benchmarks/stylize_size.py                          # the table
    python benchmarks/stylize_size.py whitebox 4000 3000 1024  # one case: generator, width, height, tile

Untrained weights: time and memory do not depend on them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path(__file__).parents[1] / "src"
CASES = [
    (name, width, height, tile)
    for width, height, tile in ((1280, 720, 1024), (4000, 3000, 1024))
    for name in ("whitebox", "cartoongan")
]


def measure(name: str, width: int, height: int, tile: int) -> str:
    sys.path.insert(0, str(SOURCE))
    from toonlab.inference.stylizer import OutputFilter, Stylizer
    from toonlab.networks.resnet import ResnetGenerator
    from toonlab.networks.unet import UNet

    generator = UNet(width=32) if name == "whitebox" else ResnetGenerator(width=64)
    output_filter = OutputFilter(radius=1, eps=5e-3) if name == "whitebox" else None
    stylizer = Stylizer(generator, multiple=4, output_filter=output_filter, tile=tile)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photo.png"), Path(folder, "cartoon.jpg")
        noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(source)
        before = peak_gib()
        start = time.perf_counter()
        stylizer.paint_file(source, target)
        seconds = time.perf_counter() - start
        with Image.open(target) as cartoon:
            assert cartoon.size == (width, height)
    return f"| {name} | {width}x{height} | {tile} | {seconds:.1f} | {peak_gib():.2f} | {before:.2f} |"


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(sys.argv[1], *map(int, sys.argv[2:5])))
        return
    print("| generator | picture | tile | seconds | peak GiB | GiB before painting |")
    print("|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        subprocess.run([sys.executable, __file__, *map(str, case)], check=True)


if __name__ == "__main__":
    main()
