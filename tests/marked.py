"""Pictures out of noise, and marks to plant in them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from toonlab.data.anchors import Shot
from toonlab.data.shortcut import Domain, groups


def scene(i: int, *, width: int = 160, height: int = 120, flat: bool = False) -> np.ndarray:
    """A keyed picture with detail at all scales; bright above and dark below, as landscapes are."""
    rng = np.random.default_rng([7, i, flat])
    total = np.zeros((height, width, 3))
    for cells, strength in ((4, 60), (10, 35), (30, 25)):
        small = rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8)
        how = Image.Resampling.NEAREST if flat else Image.Resampling.BICUBIC
        large = Image.fromarray(small).resize((width, height), how)
        total += (np.asarray(large, float) / 127.5 - 1) * strength
    total += 128 + np.linspace(50, -50, height)[:, None, None]
    return total.clip(0, 255).astype(np.uint8)


def emoji(size: int) -> Image.Image:
    """A yellow face with transparent corners."""
    large = Image.new("RGBA", (8 * size, 8 * size))
    pen, s = ImageDraw.Draw(large), 8 * size
    pen.ellipse((0, 0, s - 1, s - 1), fill=(255, 205, 50, 255), outline=(150, 90, 0, 255), width=s // 20)
    for x in (0.33, 0.67):
        pen.ellipse((s * (x - 0.08), s * 0.28, s * (x + 0.08), s * 0.48), fill=(60, 30, 0, 255))
    pen.chord((s * 0.2, s * 0.45, s * 0.8, s * 0.85), 10, 170, fill=(150, 30, 20, 255))
    return large.resize((size, size), Image.Resampling.LANCZOS)


def planted(
    pixels: np.ndarray, i: int, *, size: int = 14, margin: int = 4, opacity: float = 1.0, jitter: int = 1
) -> np.ndarray:
    """Paste the emoji into the lower left corner, off by up to `jitter` pixels."""
    picture, face = Image.fromarray(pixels), emoji(size)
    face.putalpha(face.getchannel("A").point(lambda value: int(value * opacity)))
    x, y = np.random.default_rng([8, i]).integers(-jitter, jitter + 1, 2)
    picture.paste(face, (margin + int(x), picture.height - margin - size + int(y)), face)
    return np.asarray(picture)


def domain(name: str, pictures: list[np.ndarray]) -> Domain:
    shots = [Shot(each, each.shape[1], each.shape[0]) for each in pictures]
    return Domain(name, shots, groups(shots))
