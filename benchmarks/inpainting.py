"""Is a damaged photo better completed in the generator's latent, or by what anybody would try first?

    OMP_NUM_THREADS=2 python benchmarks/inpainting.py RUN --photos PHOTOS [--pairs 100] [--size 256]
        [--completion search --bank OTHER_PHOTOS] [--work FOLDER]

RUN is one of `latent_inpainting`.
Photo i of a keyed order is damaged by kind i mod 5 (box, blocks, random, half, grid; README of the masks in
`representations/inpainting/holes.py`) and completed in each way; all scores are of the hole alone, against
the generator's cartoon of the whole photo:

- masked: the damaged photo, its hole mid-grey, is cartoonized as it is;
- telea, ns: OpenCV fills the photo, then it is cartoonized;
- after_telea, after_ns: the damaged photo is cartoonized, then OpenCV fills the cartoon.

What is done is kept in --work, pair by pair, so that a stopped run goes on, and another completion of
the same generator is judged on the same cartoons.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage.metrics import structural_similarity
from torch import Tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from toonlab import images as im
from toonlab import keyed
from toonlab.engine.checkpoint import load_generator
from toonlab.methods.latent_inpainting import LatentInpainting
from toonlab.methods.loaded_inpainting import load_inpainting
from toonlab.metrics.content import edge_f1, edges
from toonlab.metrics.holes import HoleDistance, hole_l1, hole_psnr
from toonlab.metrics.paired_table import PairedTable
from toonlab.networks.frozen import EfficientNetLite0
from toonlab.representations.inpainting.build import open_bank, weights_key
from toonlab.representations.inpainting.holes import KINDS, hole
from toonlab.representations.inpainting.prefill import prefill

SCORES = {"lpips": False, "l1": False, "psnr": True, "ssim": True, "edge_f1": True}
"""Each score, and whether higher is better; `lpips` is LPIPS-style, on EfficientNet-Lite0."""

Paint = Callable[[Tensor], Tensor]

BASELINES = ("masked", "telea", "ns", "after_telea", "after_ns")


def pair(photos: list[Path], number: int, size: int) -> tuple[str, str, Tensor, Tensor]:
    """Return the name, the kind of mask, the photo `(1, 3, size, size)` and its known-mask."""
    path = photos[keyed.permutation(len(photos), 0, "pairs")[number]]
    kind = KINDS[number % len(KINDS)]
    with Image.open(path) as file:
        square = ImageOps.fit(file.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    known = hole(kind, size, size, keyed.generator("mask", number))
    return path.name, kind, im.to_tensor(square)[None], known[None]


def baselines(paint: Paint, photo: Tensor, known: Tensor) -> dict[str, Tensor]:
    masked = paint(photo * known)
    return {
        "masked": masked,
        "telea": paint(prefill(photo, known, "telea")),
        "ns": paint(prefill(photo, known, "ns")),
        "after_telea": prefill(masked, known, "telea"),
        "after_ns": prefill(masked, known, "ns"),
    }


class Judge:
    """All scores of one picture against the clean cartoon, in the hole."""

    def __init__(self) -> None:
        network = EfficientNetLite0(taps=["block2", "block4", "block10"], scale=1.0)
        self.distance = HoleDistance(network=network, name="lpips", input_size=224)

    def __call__(self, ours: Tensor, clean: Tensor, known: Tensor) -> dict[str, float]:
        return {
            "lpips": float(self.distance(ours, clean, known)),
            "l1": float(hole_l1(ours, clean, known)),
            "psnr": float(hole_psnr(ours, clean, known)),
            "ssim": hole_ssim(ours, clean, known),
            "edge_f1": hole_edges(ours, clean, known),
        }


def hole_ssim(ours: Tensor, clean: Tensor, known: Tensor) -> float:
    """SSIM of 8-bit grey with a Gaussian window, averaged over the hole."""
    a, b = (np.asarray(im.to_picture(each[0]).convert("L")) for each in (ours, clean))
    _, whole = structural_similarity(a, b, gaussian_weights=True, sigma=1.5, full=True, data_range=255)
    return float(whole[known[0, 0].numpy() < 0.5].mean())


def hole_edges(ours: Tensor, clean: Tensor, known: Tensor) -> float:
    """Edge F1 as in docs/metrics.md, of edges in the hole."""
    missing = known[:, 0] < 0.5
    found = [edges(each, thresholds=(100, 200), tolerance=2) for each in (ours, clean)]
    ours_found, clean_found = ((edge & missing, near) for edge, near in found)
    return float(edge_f1(ours_found, clean_found))


def baselines_of(
    number: int, args: argparse.Namespace, photos: list[Path], judge: Judge, paint: Paint
) -> None:
    """Do one pair in every baseline's way, unless that is done, and keep pictures and scores."""
    kept = args.work / f"{number:03d}.npz"
    if kept.exists():
        return
    name, kind, photo, known = pair(photos, number, args.size)
    clean = paint(photo)
    done = baselines(paint, photo, known)
    scores = {way: judge(picture, clean, known) for way, picture in done.items()}
    pictures = {way: im.to_array(picture[0]) for way, picture in done.items()}
    part = kept.with_suffix(".part.npz")
    about = json.dumps({"name": name, "kind": kind, "scores": scores})
    np.savez_compressed(part, about=about, clean=im.to_array(clean[0]), **pictures)
    part.replace(kept)


def completed(
    number: int, args: argparse.Namespace, photos: list[Path], judge: Judge, method: LatentInpainting
) -> None:
    """Complete one pair, unless that is done, and keep picture, scores and seconds."""
    kept = args.work / args.label / f"{number:03d}.npz"
    if kept.exists():
        return
    _, _, photo, known = pair(photos, number, args.size)
    clean = _picture(np.load(args.work / f"{number:03d}.npz")["clean"])
    began = time.perf_counter()
    result = method.complete(photo, known, candidates=args.candidates).result
    seconds = time.perf_counter() - began
    kept.parent.mkdir(exist_ok=True)
    part = kept.with_suffix(".part.npz")
    about = json.dumps({"scores": judge(result, clean, known), "seconds": seconds})
    np.savez_compressed(part, about=about, result=im.to_array(result[0]))
    part.replace(kept)


def _picture(array: np.ndarray) -> Tensor:
    return im.from_uint8(torch.from_numpy(array).permute(2, 0, 1))[None]


def report(args: argparse.Namespace, numbers: list[int]) -> None:
    """Print means with intervals, then who beats whom on how many pairs, by kind of mask."""
    tables = {kind: PairedTable(SCORES) for kind in ("all", *KINDS)}
    seconds = []
    for number in numbers:
        plain = json.loads(str(np.load(args.work / f"{number:03d}.npz")["about"]))
        ours = json.loads(str(np.load(args.work / args.label / f"{number:03d}.npz")["about"]))
        seconds.append(ours["seconds"])
        for table in (tables["all"], tables[plain["kind"]]):
            for way, scores in {args.label: ours["scores"], **plain["scores"]}.items():
                table.add(way, str(number), scores)
    print(tables["all"].text(args.label))
    print(f"\nmedian {np.median(seconds):.2f} s a photo of {args.size} pixels\n")
    for score in SCORES:
        print(f"| {score} | " + " | ".join(BASELINES) + " |\n" + "|---" * (len(BASELINES) + 1) + "|")
        for kind, table in tables.items():
            if table.ways:
                duels = [str(table.duel(args.label, way, score)) for way in BASELINES]
                print(f"| {kind} | " + " | ".join(duels) + " |")
        print()


def main() -> None:
    args = arguments()
    photos = sorted(args.photos.glob("*.jpg"))
    numbers = args.numbers or list(range(args.pairs))
    args.label = args.label or args.completion
    judge = Judge()
    args.work.mkdir(parents=True, exist_ok=True)
    generator = load_generator(args.ckpt).generator.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def paint(photo: Tensor) -> Tensor:
        painted: Tensor = generator(photo.contiguous(memory_format=torch.channels_last))
        return painted.contiguous()

    for number in tqdm(numbers, desc="baselines", unit="pair"):
        baselines_of(number, args, photos, judge, paint)
    method = load_inpainting(args.ckpt, completion=args.completion)
    method.painter.to(memory_format=torch.channels_last)
    if method.searching:
        method.search.steps = args.steps
        method.bank = open_bank(
            sorted(args.bank.glob("*.jpg"))[: args.bank_photos],
            encode=method.painter.encode,
            key=weights_key(generator.state_dict()),
            size=args.size,
            cache_dir=args.work,
        )
    for number in tqdm(numbers, desc=args.label, unit="pair"):
        completed(number, args, photos, judge, method)
    report(args, numbers)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="to damage")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--numbers", type=int, nargs="*", help="these pairs alone")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--completion", choices=["learned", "search"], default="learned")
    parser.add_argument("--candidates", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300, help="of a search, from each start")
    parser.add_argument("--bank", type=Path, help="clean photos, others than --photos, for a search")
    parser.add_argument("--bank-photos", type=int, default=200)
    parser.add_argument("--label", help="names the results; default the completion")
    parser.add_argument("--work", type=Path, default=Path("outputs/inpainting_benchmark"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
