"""Does a large bank's index find what the exact search finds, and how fast?

    OMP_NUM_THREADS=1 python benchmarks/bank.py CKPT --photos PHOTOS --queries OTHER_PHOTOS
        [--maps 4000] [--size 64] [--erode 1] [--work FOLDER]

The bank is made of keyed square crops of PHOTOS, every other one mirrored, each brought to `size` pixels and
encoded by CKPT's generator. Asked for are the nearest of a crop of each of OTHER_PHOTOS with a hole (box,
blocks, half in turn), filled as a search fills it. Size and `erode` go together: 3 cells beside the hole do
not count at 256 pixels. What is encoded is kept in --work.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab import keyed
from toonlab.engine.checkpoint import load_generator
from toonlab.representations.inpainting.bank import LatentBank, deviation, pool_all, to_half
from toonlab.representations.inpainting.holes import hole
from toonlab.representations.inpainting.latent_mask import known_cells
from toonlab.representations.inpainting.pooled import PooledIndex
from toonlab.representations.inpainting.prefill import prefill

KINDS = ("box", "blocks", "half")
AT_A_TIME = 16
SHORTLISTS = (1, 20, 50, 100, 200)


def crops(photos: list[Path], first: int, count: int, size: int, purpose: str) -> Tensor:
    """Cut square number `first` to `first + count` of a keyed order, half to all of the shorter side."""
    cut = []
    for number in range(first, first + count):
        rng = np.random.default_rng(keyed.seed_of(purpose, number))
        with Image.open(photos[number % len(photos)]) as file:
            page = file.convert("RGB")
        side = int(min(page.size) * rng.uniform(0.5, 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in page.size)
        square = page.crop((left, top, left + side, top + side)).resize(
            (size, size), Image.Resampling.LANCZOS
        )
        cut.append(im.to_tensor(square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number % 2 else square))
    return torch.stack(cut)


def banked(args: argparse.Namespace, encode: torch.nn.Module) -> np.ndarray:
    """Return the maps, encoded unless they lie in --work; a stopped run goes on."""
    path = args.work / f"{args.maps}_{args.size}.npy"
    if not path.exists():
        photos, part = sorted(args.photos.glob("*.jpg")), path.with_suffix(".part")
        shape = (args.maps, *encode(torch.zeros(1, 3, args.size, args.size)).shape[1:])
        if not part.exists():
            np.lib.format.open_memmap(part, "w+", np.float16, shape)
        maps = np.load(part, mmap_mode="r+")
        for first in tqdm(range(0, args.maps, AT_A_TIME), desc="encoding", unit="batch"):
            if maps[min(first + AT_A_TIME, args.maps) - 1].any():
                continue
            few = crops(photos, first, min(AT_A_TIME, args.maps - first), args.size, "bank")
            with torch.autocast("cpu", torch.bfloat16):
                maps[first : first + len(few)] = to_half(encode(few))
        maps.flush()
        part.replace(path)
    return np.load(path, mmap_mode="r")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


@torch.inference_mode()
def main() -> None:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    generator = load_generator(args.ckpt).generator
    maps = banked(args, generator.encode)
    began = time.perf_counter()
    pooled = pool_all(maps)
    index = PooledIndex(pooled)
    print(f"{len(maps)} maps {maps.shape[1:]}, {maps.nbytes / 1e9:.2f} GB on disk")
    print(f"pooled and indexed in {time.perf_counter() - began:.1f} s; {pooled.nbytes / 1e9:.2f} GB, twice")
    std = deviation(maps[:64])
    exact = LatentBank(maps=maps, pooled=pooled, channel_std=std, exact_up_to=len(maps))
    quick = LatentBank(maps=maps, pooled=pooled, channel_std=std, exact_up_to=0)
    photos = sorted(args.queries.glob("*.jpg"))
    ranks = {kind: list[int]() for kind in KINDS}
    excess, seconds = list[float](), {"exact": list[float](), "index": list[float]()}
    for number in tqdm(range(len(photos)), desc="asking", unit="query"):
        kind = KINDS[number % len(KINDS)]
        photo = crops(photos, number, 1, args.size, "query")
        known = hole(kind, args.size, args.size, keyed.generator("mask", number))[None]
        latent = generator.encode(prefill(photo, known, "auto"))
        cells = known_cells(known, generator.multiple, args.erode)
        found = {}
        for way, bank in (("exact", exact), ("index", quick)):
            start = time.perf_counter()
            found[way] = bank.nearest(latent, cells, 1)
            if number:  # the first one builds the index
                seconds[way].append(time.perf_counter() - start)
        seen = cells[0] if cells.any() else torch.ones_like(cells[0])
        order = index.search(latent[0], seen, len(maps))
        ranks[kind].append(int(np.flatnonzero(order == int(found["exact"][1]))[0]))
        excess.append(float(found["index"][0] / found["exact"][0]))
    print("\n| exact nearest among the index's first | " + " | ".join(map(str, SHORTLISTS)) + " | queries |")
    print("|---" * (len(SHORTLISTS) + 2) + "|")
    for kind, found_at in {**ranks, "all": [*chain(*ranks.values())]}.items():
        shares = [f"{np.mean(np.array(found_at) < k):.1%}" for k in SHORTLISTS]
        print(f"| {kind} | " + " | ".join(shares) + f" | {len(found_at)} |")
    for way, each in seconds.items():
        print(f"{way}: median {1000 * np.median(each):.0f} ms a query, longest {1000 * max(each):.0f}")
    print(f"the index's best over the nearest, in distance: {np.mean(excess):.4f}, {max(excess):.3f} at most")
    print(f"peak memory {peak():.2f} GB, memory-mapped maps that were read included")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True, help="photos that are not in the bank")
    parser.add_argument("--maps", type=int, default=4000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--erode", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("outputs/bank_benchmark"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
