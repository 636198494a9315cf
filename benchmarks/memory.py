"""Peak memory and seconds of painting one large file, each case in a process of its own.

    python benchmarks/memory.py                                     # the table, 4000x6000
    python benchmarks/memory.py whitebox 4000 6000 1024 full exact  # one case

Above the model's own memory: the peak less what the process held after building the network and painting one
picture of 64x64. Untrained weights: time and memory do not depend on them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

BLOCKS = int(os.environ.get("BLOCKS", "8"))  # of CartoonGAN: fewer are quicker, and need as much memory
SOURCE = Path(__file__).parents[1] / "src"
CASES = [
    ("whitebox", 4000, 6000, 1024, "full", "exact"),
    ("whitebox", 4000, 6000, 1024, "fast", "exact"),
    ("cartoongan", 4000, 6000, 1024, "fast", "exact"),
    ("cartoongan", 4000, 6000, 1024, "full", "exact"),
]


def measure(name: str, width: int, height: int, tile: int, quality: str, tiles: str, source: Path) -> str:
    sys.path.insert(0, str(SOURCE))
    from toonlab.inference.convolutions import quicker
    from toonlab.inference.fast import Fast
    from toonlab.inference.stylizer import OutputFilter, Stylizer
    from toonlab.networks.resnet import ResnetGenerator
    from toonlab.networks.unet import UNet

    generator = UNet() if name == "whitebox" else ResnetGenerator(blocks=BLOCKS)
    stylizer = Stylizer(
        quicker(generator),
        multiple=4,
        output_filter=OutputFilter(radius=1, eps=5e-3) if name == "whitebox" else None,
        tile=tile,
        tiles=tiles,  # type: ignore[arg-type]
        small=Fast() if quality == "fast" else None,
    )
    target = source.with_name("cartoon.png")
    small = source.with_name("small.png")
    Image.new("RGB", (64, 64)).save(small)
    stylizer.paint_file(small, target)
    before = peak_gib()
    start, used = time.perf_counter(), time.process_time()
    stylizer.paint_file(source, target)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    with Image.open(target) as cartoon:
        assert cartoon.size == (width, height)
    above = peak_gib() - before
    return (
        f"| {name} | {width}x{height} | {quality} | {tile}, {tiles} | {seconds:.0f} | {used:.0f} "
        f"| {before:.2f} | **{above:.2f}** |"
    )


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    cases = [(*sys.argv[1:2], *map(int, sys.argv[2:5]), *sys.argv[5:7])] if len(sys.argv) > 6 else CASES
    if len(sys.argv) == 8:
        print(measure(*cases[0], Path(sys.argv[7])), flush=True)  # type: ignore[arg-type]
        return
    print("| generator | picture | quality | tile | seconds | processor | GiB before | GiB above |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    from skimage import data  # its own photograph of a coffee cup

    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "photo.jpg")
            Image.fromarray(data.coffee()).resize((case[1], case[2])).save(source, quality=92)
            subprocess.run([sys.executable, __file__, *map(str, case), str(source)], check=True)


if __name__ == "__main__":
    main()
