"""What the structure representation costs, against White-box's algorithm written plainly, and on two threads.

    OMP_NUM_THREADS=1 python benchmarks/structure.py [FOLDER] [--size 256] [--rounds 5] [--regions 85]

Processor milliseconds a picture, medians; every picture goes through all versions in turn, so that a noisy
neighbour slows them alike. Two baselines, both written here from the paper's description, with scikit-image's
segmentation and patterns and numpy's histograms:

- plain: a region's features and its neighbours are taken from its mask, before merging and again after every
  merge, as the published code goes about it;
- lean: neighbours are read off the label map once, a merged region's features are averages of its parts'.

With fewer than two idle cores the last table means nothing: it comes with the ratio that two threads reach on
a loop that shares nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numba
import numpy as np
import skimage
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from skimage.feature import local_binary_pattern
from skimage.segmentation import felzenszwalb, find_boundaries

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab.representations.compiled import compiled
from toonlab.representations.structure import SelectiveSearch, Superpixels

RANGES = ((0, 100), (-128, 127), (-128, 127))
PACKAGED = ("astronaut", "coffee", "cat", "rocket")


def features(lab, patterns, mask):
    colour = [np.histogram(lab[..., c][mask], 25, RANGES[c])[0] for c in range(3)]
    texture = [np.histogram(patterns[..., c][mask], 10, (0, 10))[0] for c in range(3)]
    ys, xs = np.nonzero(mask)
    return {
        "size": len(ys),
        "box": (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1),
        "colour": np.concatenate(colour) / (3 * len(ys)),
        "texture": np.concatenate(texture) / (3 * len(ys)),
    }


def joined_box(a, b):
    (top, left, bottom, right), (y, x, v, u) = a["box"], b["box"]
    return min(top, y), min(left, x), max(bottom, v), max(right, u)


def similarity(a, b, area):
    top, left, bottom, right = joined_box(a, b)
    size = a["size"] + b["size"]
    colour = np.minimum(a["colour"], b["colour"]).sum()
    texture = np.minimum(a["texture"], b["texture"]).sum()
    return colour + texture + (1 - size / area) + (1 - ((bottom - top) * (right - left) - size) / area)


def average(a, b):
    m, n = a["size"], b["size"]
    means = {name: (m * a[name] + n * b[name]) / (m + n) for name in ("colour", "texture")}
    return {"size": m + n, "box": joined_box(a, b), **means}


def around(labels, label):
    """Labels that touch a region."""
    return np.unique(labels[find_boundaries(labels == label, mode="outer")]).tolist()


def all_pairs(labels, lean):
    if not lean:
        return {
            tuple(sorted((a, b))) for a in np.unique(labels).tolist() for b in around(labels, a) if a != b
        }
    sides = ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))
    both = np.concatenate([np.stack([a[a != b], b[a != b]]) for a, b in sides], axis=1)
    return set(map(tuple, np.unique(np.sort(both, axis=0), axis=1).T.tolist()))


def baseline(picture, regions, lean):
    """White-box's structure: (H, W, 3) uint8 to colours, the four similarities computed as they are meant."""
    labels = felzenszwalb(picture, scale=5, sigma=0.8, min_size=100)
    lab = rgb2lab(picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image would rather have integers
        patterns = [local_binary_pattern(lab[..., c], 8, 1, "uniform") for c in range(3)]
    patterns = np.stack(patterns, axis=-1)
    known = {a: features(lab, patterns, labels == a) for a in np.unique(labels).tolist()}
    scores = {(a, b): similarity(known[a], known[b], labels.size) for a, b in all_pairs(labels, lean)}
    while len(known) > regions:
        a, b = max(scores, key=scores.get)
        new = max(known) + 1
        labels[(labels == a) | (labels == b)] = new
        touched = {pair for pair in scores if a in pair or b in pair}
        scores = {pair: score for pair, score in scores.items() if pair not in touched}
        one, other = known.pop(a), known.pop(b)
        known[new] = average(one, other) if lean else features(lab, patterns, labels == new)
        near = {c for pair in touched for c in pair} - {a, b} if lean else set(around(labels, new)) - {new}
        for c in near:
            scores[c, new] = similarity(known[c], known[new], labels.size)
    flat = np.empty(picture.shape)
    for label in known:
        inside = picture[labels == label]
        mean, median, spread = inside.mean(0), np.median(inside, 0), inside.std(0).mean()
        flat[labels == label] = mean if spread < 20 else median if spread > 40 else (mean + median) / 2
    return flat


UNCOMPILED = """
import sys, time
sys.modules["numba"] = None
import numpy as np
from toonlab.representations.structure import SelectiveSearch
structure = SelectiveSearch(regions=int(sys.argv[2]))
for picture in np.load(sys.argv[1]):
    start = time.process_time()
    structure._flatten(picture)
    print(time.process_time() - start)
"""


def uncompiled(pictures, regions, folder):
    """Processor seconds of the path without numba, in a process of its own."""
    np.save(folder / "pictures.npy", np.stack(pictures))
    done = subprocess.run(
        [sys.executable, "-c", UNCOMPILED, str(folder / "pictures.npy"), str(regions)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(map(float, done.stdout.split()))


def photographs(folder, size):
    if folder is None:
        found = {name: Image.fromarray(getattr(data, name)()) for name in PACKAGED}
    else:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in im.EXTENSIONS]
        found = {path.stem: im.decode(path).rgb for path in paths}
    pictures = {}
    for name, picture in found.items():
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        pictures[name] = np.array(square.resize((size, size), Image.Resampling.LANCZOS))
    return pictures


@compiled
def spin(rounds):
    total = 0.0
    for i in range(rounds):
        total += np.sqrt(i)
    return total


def against_the_baselines(pictures, regions, rounds):
    structure = SelectiveSearch(regions=regions)
    versions = {
        "plain": lambda picture: baseline(picture, regions, lean=False),
        "lean": lambda picture: baseline(picture, regions, lean=True),
        "ours": structure._flatten,
    }
    print("| picture | regions before, after | plain ms | lean ms | ours ms | plain / ours | lean / ours |")
    print("|---|---|---|---|---|---|---|")
    structure._flatten(next(iter(pictures.values())))  # compiled before the clock runs
    medians = []
    for name, picture in pictures.items():
        seconds = {version: [] for version in versions}
        for _ in range(rounds):
            for version, run in versions.items():
                for _ in range(5 if version == "ours" else 1):
                    start = time.process_time()
                    run(picture)
                    seconds[version].append(time.process_time() - start)
        plain, lean, ours = (1e3 * np.median(seconds[version]) for version in versions)
        medians.append((plain, lean, ours))
        before = felzenszwalb(picture, scale=5, sigma=0.8, min_size=100).max() + 1
        row(name, f"{before}, {min(before, regions)}", plain, lean, ours, plain / ours, lean / ours)
    plain, lean, ours = np.median(medians, axis=0)
    row("median", "", plain, lean, ours, plain / ours, lean / ours)


def threads(pictures, rounds):
    sixteen = (list(pictures.values()) * 16)[:16]
    batch = im.from_uint8(torch.from_numpy(np.stack(sixteen)).permute(0, 3, 1, 2))
    print("\n| batch of 16 | 1 worker ms | 2 workers ms | ratio | cores' own ratio just then |")
    print("|---|---|---|---|---|")
    for name, kind in (("Superpixels", Superpixels), ("SelectiveSearch", SelectiveSearch)):
        versions = {workers: kind(workers=workers) for workers in (1, 2)}
        spins = {workers: SpinPool(workers) for workers in (1, 2)}
        seconds = []
        for _ in range(rounds + 1):
            pair = []
            for run in (*versions.values(), *spins.values()):
                start = time.perf_counter()
                run(batch)
                pair.append(time.perf_counter() - start)
            seconds.append(pair)
        one, two, spin_one, spin_two = np.array(seconds[1:]).T
        ratio = f"{np.median(one / two):.2f} (best {np.max(one / two):.2f})"
        row(name, 1e3 * np.median(one), 1e3 * np.median(two), ratio, np.median(spin_one / spin_two))


class SpinPool(Superpixels):
    """A batch whose pictures take a loop that needs nothing but a core."""

    def __init__(self, workers):
        super().__init__(workers=workers)

    def __call__(self, images):
        return self._map(lambda _: spin(10_000_000), images)


def row(*cells):
    shown = [f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells]
    print("|", " | ".join(shown), "|", flush=True)


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="photographs; scikit-image's own if left out")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--regions", type=int, default=85)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{processor()}, {os.cpu_count()} cores, numpy {np.__version__}, numba {numba.__version__}, "
        f"scikit-image {skimage.__version__}, {options.size} px\n"
    )
    pictures = photographs(options.folder, options.size)
    against_the_baselines(pictures, options.regions, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        seconds = uncompiled(list(pictures.values())[:8], options.regions, Path(folder))
    print(f"\nWithout numba: {1e3 * np.median(seconds):.0f} ms a picture.")
    threads(pictures, options.rounds)


if __name__ == "__main__":
    main()
