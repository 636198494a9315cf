"""How often marks are found, and clean sets accused: python benchmarks/data_check.py FOLDER ..."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / part) for part in ("src", "tests")]
from marked import domain, emoji  # noqa: E402
from toonlab.data.folders import find_images  # noqa: E402
from toonlab.data.shortcut import find_marks  # noqa: E402


def pictures(folder: str, n: int, seed: int) -> list[np.ndarray]:
    files, _ = find_images(folder, what="folder")
    chosen = sorted(np.random.default_rng(seed).permutation(len(files))[:n])
    return [np.asarray(Image.open(files[i]).convert("RGB")) for i in chosen]


def planted(pixels: np.ndarray, i: int, *, size: float, opacity: float, share: float) -> np.ndarray:
    """Paste an emoji, `size` of the width, near the lower left corner, off by up to 2 pixels."""
    rng = np.random.default_rng([9, i])
    if rng.random() >= share:
        return pixels
    picture = Image.fromarray(pixels)
    face, margin = emoji(max(4, round(size * picture.width))), round(0.02 * picture.width)
    face.putalpha(face.getchannel("A").point(lambda value: int(value * opacity)))
    x, y = rng.integers(-2, 3, 2)
    picture.paste(face, (margin + int(x), picture.height - margin - face.height + int(y)), face)
    return np.asarray(picture)


def main(folders: list[str], seeds: int = 20) -> None:
    for folder in folders:
        sizes = [int(np.random.default_rng(seed).integers(100, 301)) for seed in range(seeds)]
        accused = [
            bool(find_marks([domain("clean", pictures(folder, n, s))], seed=s)) for s, n in enumerate(sizes)
        ]
        print(f"{folder}: {sum(accused)} of {seeds} clean subsets accused", flush=True)
        for size in (0.03, 0.05, 0.08, 0.12):
            for opacity, share in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)):
                marked = [
                    planted(each, i, size=size, opacity=opacity, share=share)
                    for i, each in enumerate(pictures(folder, 300, 0))
                ]
                marks = find_marks([domain("marked", marked)])
                told = ", ".join(f"{mark.share:.0%} at {np.round(mark.box, 3)}" for mark in marks) or "missed"
                print(f"  size {size:.0%}, opacity {opacity:.0%}, in {share:.0%}: {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
