"""How well `prepare.py collage` tells collages from other images: precision and recall on built ones.

python benchmarks/collages.py DATA   (DATA has paired/, photos/, anime_*/, as in docs/data.md)
"""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from toonlab.data.collage import Limits, find

LIMITS = Limits(seam=0.0, alignment=-1.0, same=0.0, aspect=99.0, min_side=16)
TINTS = ((1.0, 0.95, 0.85), (0.85, 1.0, 1.0), (1.0, 0.9, 1.0))


def cartoons_of(data: Path) -> Iterator[tuple[Image.Image, list[Image.Image]]]:
    """A photo with three cartoons: of three networks, or of one in three tints."""
    sets = {name: data / "paired" / f"animeganv2_{name}" for name in ("hayao", "paprika", "shinkai")}
    for photo in sorted((data / "paired").glob("animeganv2_hayao/*/photo/*.jpg")):
        others = [next(folder.glob(f"*/cartoon/{photo.name}"), None) for folder in sets.values()]
        if all(others):
            yield Image.open(photo), [Image.open(path) for path in others if path]
    for photo in sorted((data / "paired" / "whitebox").glob("*/photo/*.jpg")):
        cartoon = np.asarray(Image.open(photo.parent.parent / "cartoon" / photo.name).convert("RGB"))
        yield Image.open(photo), [Image.fromarray((cartoon * np.array(t)).astype(np.uint8)) for t in TINTS]


def grid(
    pictures: list[Image.Image], side: int, gap: int, colour: str, frame: int, strip: int
) -> Image.Image:
    size = 2 * side + gap + 2 * frame
    page = Image.new("RGB", (size, size + strip), colour)
    for i, picture in enumerate(pictures):
        x, y = frame + (i % 2) * (side + gap), frame + (i // 2) * (side + gap)
        page.paste(picture.convert("RGB").resize((side, side)), (x, y))
    if strip:
        noise = np.random.default_rng(strip).integers(0, 256, (strip // 2, size // 6, 1)).repeat(3, 2)
        page.paste(Image.fromarray(noise.astype(np.uint8)), (size - size // 5, size + strip // 4))
    return page


def warped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    array = np.asarray(picture.convert("RGB"))
    height, width = array.shape[:2]
    field = [
        cv2.resize(
            rng.uniform(-1, 1, (6, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(2)
    ]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + 0.03 * width * field[0], y + 0.03 * height * field[1]
    return Image.fromarray(cv2.remap(array, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def collages(data: Path, seed: int) -> Iterator[tuple[str, Image.Image]]:
    rng = np.random.default_rng([seed, 0])
    for photo, others in cartoons_of(data):
        kind = int(rng.integers(7))
        gap, frame, strip = (0, 0, 0)
        if kind in (1, 2, 5):
            gap = int(rng.integers(1, 24))
        if kind == 2:
            frame = gap
        if kind == 3:
            strip = int(rng.integers(20, 60))
        colour = ("white", "black", "#888")[int(rng.integers(3))]
        side = int(rng.integers(160, 541))
        shifted = [photo, *others]
        if kind == 4:  # segments out of step by up to a hundredth
            shifted = [
                p.convert("RGB").transform(
                    p.size, Image.Transform.AFFINE, (1, 0, *rng.uniform(-0.01, 0.01, 1) * p.width, 0, 1, 0)
                )
                for p in shifted
            ]
        if kind == 6:  # caricatures: features moved and grown by up to 3 % of the side
            shifted = [photo, *(warped(p, rng) for p in others)]
        order = rng.permutation(4)
        page = grid([shifted[i] for i in order], side, gap, colour, frame, strip)
        names = ("plain", "line", "line and frame", "strip", "shifted", "line", "warped")
        yield names[kind], jpeg(page, int(rng.integers(40, 96)))


def others(data: Path, seed: int) -> Iterator[tuple[str, Image.Image]]:
    rng = np.random.default_rng([seed, 1])
    photos = sorted((data / "photos").glob("*/*.jpg"))
    pick = lambda n: [Image.open(photos[i]) for i in rng.choice(len(photos), n, replace=False)]  # noqa: E731
    for path in photos[::6]:
        yield "a photo", Image.open(path)
    for name in ("anime_peppercarrot", "anime_bbb", "anime_wesnoth"):
        for path in sorted((data / name).glob("*/*.jpg"))[::9]:
            yield name, Image.open(path)
    for _ in range(150):
        gap = int(rng.integers(0, 24))
        yield "four photos", jpeg(grid(pick(4), int(rng.integers(160, 541)), gap, "white"), 85)
    for i, (photo, three) in enumerate(cartoons_of(data)):
        side = 256
        if i % 4 == 0:  # one segment is of another photo
            yield (
                "one of four differs",
                jpeg(grid([photo, *three[:2], *pick(1)], side, i % 9, "black"), 85),
            )
        elif i % 4 == 1:  # side by side
            page = Image.new("RGB", (2 * side, side))
            page.paste(photo.resize((side, side)), (0, 0))
            page.paste(three[0].resize((side, side)), (side, 0))
            yield "a pair", jpeg(page, 85)
        elif i % 4 == 2:  # three by three
            page = Image.new("RGB", (3 * side, 3 * side))
            for k in range(9):
                page.paste([photo, *three][k % 4].resize((side, side)), (k % 3 * side, k // 3 * side))
            yield "nine segments", jpeg(page, 85)
        else:
            two = pick(1)[0]
            yield (
                "two and two",
                jpeg(grid([photo, three[0], two, two.transpose(0)], side), 85),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seam", type=float, default=0.2)
    parser.add_argument("--alignment", type=float, default=0.42)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = []
    for truth, source in ((True, collages(args.data, args.seed)), (False, others(args.data, args.seed))):
        for kind, picture in source:
            found = {"vertical_seam": 0.0, "horizontal_seam": 0.0, "alignment": -1.0}
            rows.append((truth, kind, found | find(np.asarray(picture.convert("RGB")), LIMITS).scores))
    for truth in (True, False):
        for kind in sorted({k for t, k, _ in rows if t == truth}):
            ours = [s for t, k, s in rows if t == truth and k == kind]
            seam = np.array([min(s["vertical_seam"], s["horizontal_seam"]) for s in ours])
            alignment = np.array([s["alignment"] for s in ours])
            accepted = (seam >= args.seam) & (alignment >= args.alignment)
            quantiles = (0.0, 0.02, 0.5, 0.98, 1.0)
            sys.stdout.write(
                f"{'collage' if truth else 'other':8}{kind:20} n={len(ours):4}  accepted {accepted.sum():4}  "
                f"seam {np.quantile(seam, quantiles).round(2)} "
                f"alignment {np.quantile(alignment, quantiles).round(2)}\n"
            )
    count = Counter(
        (t, min(s["vertical_seam"], s["horizontal_seam"]) >= args.seam and s["alignment"] >= args.alignment)
        for t, _, s in rows
    )
    hit, miss, false = count[True, True], count[True, False], count[False, True]
    sys.stdout.write(
        f"precision {hit / (hit + false):.4f} ({hit}/{hit + false})  recall {hit / (hit + miss):.4f}\n"
    )


if __name__ == "__main__":
    main()
