"""From a picture of any size to a square tensor."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from toonlab import images as im

_REDUCING_GAP = 3.0  # Pillow halves big pictures first where that cannot be seen


def random_crop(
    picture: Image.Image, generator: torch.Generator, *, size: int, zoom: tuple[float, float], flip: float
) -> Tensor:
    """Return a random square of the picture as `(3, size, size)` in [-1, 1].

    Crop and antialiased resize are one step, so nothing is sampled twice.

    Args:
        picture: RGB, any size.
        generator: four draws are taken from it, whatever the picture.
        size: pixels.
        zoom: range of (short side / crop side), from 1, the largest square. A zoom that would enlarge
            the picture's pixels is reduced to the picture's own scale: blur is not a cartoon's texture.
        flip: probability of a mirror image.
    """
    scale, x, y, mirror = torch.rand(4, generator=generator).tolist()
    width, height = picture.size
    short = min(width, height)
    side = max(short / (zoom[0] + scale * (zoom[1] - zoom[0])), min(size, short))
    crop = _square(picture, x * (width - side), y * (height - side), side, size)
    if mirror < flip:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return im.to_tensor(crop)


def centre_crop(picture: Image.Image, *, size: int) -> Tensor:
    """Return the largest centred square as `(3, size, size)` in [-1, 1]."""
    width, height = picture.size
    side = min(width, height)
    return im.to_tensor(_square(picture, (width - side) / 2, (height - side) / 2, side, size))


def _square(picture: Image.Image, left: float, top: float, side: float, size: int) -> Image.Image:
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP)
