"""Fast painting: paint a small copy, and lift the cartoon to full size by the photo's own edges.

The fast guided filter (He & Sun 2015): in each small window the cartoon is taken for a linear function of the
photo, `slope · photo + offset`. Both are found on the small pictures, where that costs little, enlarged, and
applied to the full photo, whose edges and detail the cartoon thereby gets. See docs/painting.md for what that
costs and loses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab.errors import UsageError, is_number
from toonlab.inference.pixels import Pixels
from toonlab.representations.surface import linear_model

STRIP = 256
"""Rows of the large picture that are lifted at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fast:
    """How `quality=fast` paints.

    Attributes:
        side: pixels of the longer side of the small copy that is painted.
        radius: of the guided filter that lifts its cartoon, pixels of the small copy.
        eps: of the same filter, variance on the [-1, 1] scale.
    """

    side: int = 512
    radius: int = 2
    eps: float = 1e-3

    def __post_init__(self) -> None:
        whole = isinstance(self.side, int) and isinstance(self.radius, int)
        if not whole or not is_number(self.eps) or self.side < 16 or self.radius < 1 or not self.eps > 0:
            raise UsageError(
                f"fast.side={self.side} (16 pixels or more), fast.radius={self.radius} (1 or more), "
                f"fast.eps={self.eps} (above 0): out of range"
            )

    def takes(self, height: int, width: int) -> bool:
        """Whether a picture is painted small; the others are in full."""
        return max(height, width) > self.side

    def paint(
        self,
        photo: Pixels,
        cartoon: Pixels,
        *,
        paint: Callable[[Tensor], Tensor],
        recolour: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
    ) -> None:
        """Paint a photo's small copy and lift it into the cartoon, strip by strip.

        Args:
            photo: of any size.
            cartoon: gets it, of the same size.
            paint: makes a cartoon of the small copy, `(1, 3, h, w)`.
            recolour: gets a lifted cartoon and its photo; what it returns is written.
            device: where all of that is computed.
        """
        size = photo.height, photo.width
        small = smaller(photo, small_size(*size, self.side), device)
        model = lift(small, paint(small), radius=self.radius, eps=self.eps)
        in_strips(photo, cartoon, lambda part, rows: recolour(lifted(model, part, rows, size), part), device)


def in_strips(
    photo: Pixels, cartoon: Pixels, finished: Callable[[Tensor, slice], Tensor], device: torch.device
) -> None:
    """Fill a cartoon strip by strip: `finished` gets a strip of the photo and which rows it is."""
    everything = slice(0, photo.width)
    for start in range(0, photo.height, STRIP):
        rows = slice(start, min(start + STRIP, photo.height))
        cartoon.write(rows, everything, finished(photo.read(rows, everything, device), rows))


def small_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size whose longer side is `side`, or the same one if it is small enough."""
    longest = max(height, width)
    if longest <= side:
        return height, width
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def smaller(photo: Pixels, size: tuple[int, int], device: torch.device) -> Tensor:
    """Return a copy `(1, 3, *size)`, each pixel the mean of those that it stands for."""
    if isinstance(photo.values, np.ndarray):
        array = cv2.resize(photo.values, size[::-1], interpolation=cv2.INTER_AREA)
        return Pixels(array).read(slice(0, size[0]), slice(0, size[1]), device)
    return F.interpolate(photo.values[None].to(device), size=size, mode="area")


def lift(small_photo: Tensor, small_cartoon: Tensor, *, radius: int, eps: float) -> Tensor:
    """Return slopes and offsets of the cartoon as a function of the photo, `(1, 6, h, w)`.

    Args:
        small_photo: `(1, 3, h, w)` in [-1, 1].
        small_cartoon: the same shape.
        radius: pixels of the small picture.
        eps: variance on the [-1, 1] scale; the larger, the flatter the result.
    """
    return torch.cat(linear_model(small_photo, small_cartoon, radius, eps), dim=1)


def lifted(model: Tensor, photo: Tensor, rows: slice, size: tuple[int, int]) -> Tensor:
    """Apply a model to rows of the full photo.

    Args:
        model: `(1, 6, h, w)` as `lift` returns it.
        photo: these rows, `(1, 3, rows, W)`.
        rows: of the full picture.
        size: of the full picture.
    """
    large = enlarged(model, rows, size)
    return torch.addcmul(large[:, 3:], large[:, :3], photo)


def enlarged(small: Tensor, rows: slice, size: tuple[int, int]) -> Tensor:
    """Return rows of a small picture enlarged to `size`, bilinearly, as `interpolate` enlarges the whole."""
    above, below, share = _between(small.shape[-2], size[0], rows, small.device)
    few = torch.lerp(small.index_select(2, above), small.index_select(2, below), share[:, None])
    return F.interpolate(few, size=(few.shape[-2], size[1]), mode="bilinear", align_corners=False)


def _between(small: int, large: int, rows: slice, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for rows of a large picture, the two nearest of the small one and the second's share."""
    at = (torch.arange(rows.start, rows.stop, device=device) + 0.5) * (small / large) - 0.5
    at = at.clamp(0, small - 1)
    first = at.floor()
    return first.long(), (first + 1).clamp(max=small - 1).long(), at - first
