"""Five photographs that come with scikit-image, to check and calibrate exports where no others are given."""

from __future__ import annotations

import torch
from PIL import Image
from skimage import data
from torch import Tensor

from toonlab import images

NAMES = ("coffee", "astronaut", "chelsea", "rocket")
"""Public domain or CC0; 300 to 512 pixels high."""


def sample_photos() -> list[Tensor]:
    """Return `(3, H, W)` in [-1, 1] each."""
    pictures = [*(getattr(data, name)() for name in NAMES), data.stereo_motorcycle()[0]]  # type: ignore[no-untyped-call]
    return [images.to_tensor(Image.fromarray(picture)) for picture in pictures]


def crops(photos: list[Tensor], batch: int, height: int, width: int) -> Tensor:
    """Return `(batch, 3, height, width)` out of the middles of the photos, in turn.

    Larger ones are reduced to twice the crop before, so that a small crop has something in it.
    """
    made = []
    for i in range(batch):
        photo = photos[i % len(photos)][None]
        scale = max(2 * height / photo.shape[2], 2 * width / photo.shape[3])
        if scale < 1:
            photo = torch.nn.functional.interpolate(
                photo, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False
            )
        top, left = max(photo.shape[2] - height, 0) // 2, max(photo.shape[3] - width, 0) // 2
        made.append(photo[:, :, top : top + height, left : left + width])
    return torch.cat(made).clamp(-1, 1)
