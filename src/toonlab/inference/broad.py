"""Broad painting: paint a small copy, enlarge the cartoon and sharpen its lines.

A network draws lines and strokes as wide as on the pictures that it learned from, and flattens what was fine
on them. Large photos want broader ones; eyes and letters that are lost so are drawn in. See docs/painting.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from toonlab.errors import UsageError, is_number
from toonlab.inference.fast import enlarged, in_strips, smaller
from toonlab.inference.pixels import Pixels
from toonlab.representations.shock import reach, shock_filter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broad:
    """How `quality=broad` paints.

    Attributes:
        side: pixels of the shorter side of the small copy that is painted.
        most: how many times smaller than the photo the copy is at most.
        ink: how strongly dark detail of the photo that the copy does not have is drawn in; 0 is not at all.
    """

    side: int = 480
    most: float = 3.0
    ink: float = 1.0

    def __post_init__(self) -> None:
        sound = isinstance(self.side, int) and is_number(self.most) and is_number(self.ink)
        if not sound or self.side < 16 or self.most < 1 or self.ink < 0:
            raise UsageError(
                f"broad.side={self.side} (16 pixels or more), broad.most={self.most} (1 or more), "
                f"broad.ink={self.ink} (0 or more): out of range"
            )

    def takes(self, height: int, width: int) -> bool:
        """Whether a picture is painted small; the others are in full."""
        return min(height, width) > self.side

    def paint(
        self,
        photo: Pixels,
        cartoon: Pixels,
        *,
        paint: Callable[[Tensor], Tensor],
        recolour: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
    ) -> None:
        """Paint a photo's small copy and enlarge it into the cartoon, strip by strip; see `Fast.paint`."""
        height, width = photo.height, photo.width
        times = min(min(height, width) / self.side, self.most)
        small = smaller(photo, (round(height / times), round(width / times)), device)
        painted, grey = paint(small).clamp(-1, 1), small.mean(1, keepdim=True)
        scale, steps = SOFT * times, round(STEPS * times)
        margin = reach(scale, steps)

        def finished(part: Tensor, rows: slice) -> Tensor:
            above, below = max(rows.start - margin, 0), min(rows.stop + margin, height)
            soft = enlarged(painted, slice(above, below), (height, width))
            sharp = shock_filter(soft, scale, steps)[:, :, rows.start - above : rows.stop - above]
            lost = enlarged(grey, rows, (height, width)) - part.mean(1, keepdim=True)
            return recolour(sharp - self.ink * F.relu(lost - GRAIN), part)

        in_strips(photo, cartoon, finished, device)


SOFT = 0.8
"""Pixels of the small copy over which an enlarged edge is soft."""

STEPS = 2.4
"""Of the shock filter, for a copy enlarged by 1: half pixels, so somewhat more than it is soft."""

GRAIN = 0.06
"""Detail on the scale of [-1, 1] that is not drawn in: grain and texture."""
