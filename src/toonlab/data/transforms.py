"""From a picture of any size to a square tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from toonlab import images as im

_REDUCING_GAP = 3.0  # Pillow halves big pictures first where that cannot be seen


class Cut(NamedTuple):
    """A square of a picture, mirrored or not; lengths in pixels of a picture of `width` by `height`."""

    width: int
    height: int
    left: float
    top: float
    side: float
    mirror: bool

    def of(self, picture: Image.Image, size: int) -> Tensor:
        """Cut it out as `(3, size, size)` in [-1, 1]; of a copy at another scale, the same part.

        Cut and antialiased resize are one step, so nothing is sampled twice.
        """
        x, y = picture.width / self.width, picture.height / self.height
        right, bottom = (self.left + self.side) * x, (self.top + self.side) * y
        box = (self.left * x, self.top * y, min(right, picture.width), min(bottom, picture.height))
        crop = picture.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP)
        return im.to_tensor(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirror else crop)


def random_cut(
    picture: Image.Image, generator: torch.Generator, *, size: int, zoom: tuple[float, float], flip: float
) -> Cut:
    """Choose a random square of the picture.

    Args:
        picture: of any size.
        generator: four draws are taken from it, whatever the picture.
        size: pixels, of the square once it is cut out.
        zoom: range of (short side / crop side), from 1, the largest square. A zoom that would enlarge
            the picture's pixels is reduced to the picture's own scale: blur is not a cartoon's texture.
        flip: probability of a mirror image.
    """
    scale, x, y, mirror = torch.rand(4, generator=generator).tolist()
    width, height = picture.size
    short = min(width, height)
    side = max(short / (zoom[0] + scale * (zoom[1] - zoom[0])), min(size, short))
    return Cut(width, height, x * (width - side), y * (height - side), side, mirror < flip)


def centre_crop(picture: Image.Image, *, size: int) -> Tensor:
    """Return the largest centred square as `(3, size, size)` in [-1, 1]."""
    width, height = picture.size
    side = min(width, height)
    cut = Cut(width, height, (width - side) / 2, (height - side) / 2, side, mirror=False)
    return cut.of(picture, size)
