"""Pictures out of nothing, for tests and trials without data."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from toonlab import images as im
from toonlab import keyed

_BLOCKS = 6  # along each side


class ColourBlocks:
    """Keyed random colours on a coarse grid: the two domains differ in style and share their content.

    Args:
        count: pictures.
        side: pixels.
        flat: posterised blocks with hard borders (a cartoon's style), else gradients with noise.
        key: equal keys give equal pictures.
        levels: of a flat picture's channels, 2 or more.
    """

    def __init__(self, *, count: int, side: int, flat: bool, key: str, levels: int = 4) -> None:
        self.count, self.side, self.flat, self.key, self.levels = count, side, flat, key, levels

    def __len__(self) -> int:
        return self.count

    def picture(self, index: int) -> Image.Image:
        generator = keyed.generator("blocks", self.key, index)
        colours = torch.rand(1, 3, _BLOCKS, _BLOCKS, generator=generator)
        shape = (self.side, self.side)
        if self.flat:
            n = self.levels
            steps: Tensor = (colours * n).floor().clamp(max=n - 1) / (n - 1)
            image = F.interpolate(steps, shape)[0]
        else:
            image = F.interpolate(colours, shape, mode="bilinear")[0]
            image = image + 0.1 * torch.randn(image.shape, generator=generator)
        return im.to_picture(image * 2 - 1)
