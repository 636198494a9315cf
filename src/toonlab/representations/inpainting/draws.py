"""Holes to train on: windows of larger holes, turned any way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab.errors import UsageError, check_choice
from toonlab.representations.inpainting.holes import KINDS, hole

_TRIES = 100


class HoleDraws:
    """Draws known-masks.

    Crops are smaller than the photos that a user brings, and so would their holes be: a hole is drawn for a
    square `scale` times as large, turned by quarters, and a window of it is taken.

    Args:
        kinds: as in `holes.hole`; a kind named twice comes twice as often.
        scale: side of the square that the hole is drawn for, over the longer side.
        shares: least and most of the window that may be missing, else it is drawn again.
        random_shares: missing shares of kind `random`, one of them drawn.

    Raises:
        UsageError: no kind, or none of that name.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[str],
        scale: float,
        shares: Sequence[float],
        random_shares: Sequence[float],
    ) -> None:
        if not kinds:
            raise UsageError(f"method.masks.kinds is empty; there are {', '.join(KINDS)}")
        for kind in kinds:
            check_choice("method.masks.kinds", kind, KINDS)
        if scale < 1:
            raise UsageError(f"method.masks.scale={scale:g}: 1 or more")
        self.kinds, self.scale, self.random_shares = list(kinds), scale, list(random_shares)
        self.least, self.most = shares

    def batch(self, photos: Tensor, rng: torch.Generator) -> Tensor:
        """Return a known-mask for each of `(B, 3, H, W)`, `(B, 1, H, W)`, where and of what they are."""
        height, width = photos.shape[2:]
        return torch.stack([self(height, width, rng) for _ in photos]).to(photos)

    def __call__(self, height: int, width: int, rng: torch.Generator) -> Tensor:
        """Return a known-mask `(1, H, W)`, 1 = known, 0 = missing, on the CPU.

        Raises:
            UsageError: no draw fits `shares`.
        """

        def below(n: int) -> int:
            return int(torch.randint(n, (1,), generator=rng, device=rng.device))

        side = round(self.scale * max(height, width))
        for _ in range(_TRIES):
            kind = self.kinds[below(len(self.kinds))]
            share = self.random_shares[below(len(self.random_shares))]
            turned = torch.rot90(hole(kind, side, side, rng, random_share=share), below(4), (1, 2))
            top, left = below(side - height + 1), below(side - width + 1)
            known = turned[:, top : top + height, left : left + width]
            if self.least <= 1 - float(known.mean()) <= self.most:
                return known.contiguous()
        raise UsageError(
            f"method.masks.shares=[{self.least:g},{self.most:g}]: no hole of {', '.join(self.kinds)} is such"
        )


def solid(known: Tensor, side: int) -> Tensor:
    """Return the known pixels of `(B, 1, H, W)` that lie in a known square of `side` pixels, odd.

    A cartoon's pixel is drawn from many of the photo's: where those are known one by one, none of the cartoon
    is. Beyond the picture counts as known.
    """
    eroded = -F.max_pool2d(-known, side, stride=1, padding=side // 2)
    return F.max_pool2d(eroded, side, stride=1, padding=side // 2)
