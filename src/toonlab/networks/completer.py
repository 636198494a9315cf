"""A small network that says what is missing: residual U-Net over cells, zero at the start."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.networks.layers import check_counts


class Completer(nn.Module):
    """`(B, inputs, h, w)` to a correction `(B, outputs, h, w)`, exactly 0 before it has learnt anything.

    A U-Net of residual blocks: `width` channels at full resolution, as many more at each halving up to
    `most`, dilations 1, 2 and 4 at the bottom, so that a cell sees a hundred and more around it. Without
    norms: a norm's statistics would mix what is known with what is not.

    Args:
        inputs: channels of what is known.
        outputs: channels of the correction.
        width: channels at full resolution.
        halvings: of the resolution.
        most: channels at any resolution.
    """

    def __init__(self, *, inputs: int, outputs: int, width: int, halvings: int, most: int = 128) -> None:
        super().__init__()
        check_counts(inputs=inputs, outputs=outputs, width=width, halvings=halvings, most=most)
        widths = [min(width * (1 + i), max(width, most)) for i in range(halvings + 1)]
        self.head = nn.Conv2d(inputs, width, 3, padding=1)
        self.down = nn.ModuleList(_Block(channels) for channels in widths[:-1])
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in itertools.pairwise(widths)
        )
        self.bottom = nn.Sequential(*(_Block(widths[-1], dilation) for dilation in (1, 2, 4)))
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in itertools.pairwise(widths))
        self.up = nn.ModuleList(_Block(channels) for channels in widths[:-1])
        self.last = nn.Sequential(_Block(width), nn.LeakyReLU(0.2), _zero_conv(width, outputs))

    def forward(self, known: Tensor) -> Tensor:
        x, skips = self.head(known), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(block(x))
            # Odd sizes: the last row and column are repeated, and cut off again on the way up.
            height, width = skips[-1].shape[2:]
            x = shrink(F.pad(skips[-1], (0, width % 2, 0, height % 2), mode="replicate"))
        x = self.bottom(x)
        for block, grow, skip in zip(reversed(self.up), reversed(self.grow), reversed(skips), strict=True):
            finer = F.interpolate(grow(x), scale_factor=2, mode="bilinear")
            x = block(skip + finer[..., : skip.shape[2], : skip.shape[3]])
        correction: Tensor = self.last(x)
        return correction


class _Block(nn.Module):
    """`x + body(x)`, the body 0 at first, so that depth costs nothing at the start."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation),
            nn.LeakyReLU(0.2),
            _zero_conv(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.body(x)
        return total


def _zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
