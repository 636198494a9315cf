"""The one way to inpaint: damaged photo in, cartoon out, any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from toonlab import images
from toonlab.errors import UsageError

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class Completion(NamedTuple):
    """Cartoons of damaged photos, in [-1, 1].

    Attributes:
        result: the best candidate, `(B, 3, H, W)`.
        candidates: all of them, `(B, K, 3, H, W)`.
    """

    result: Tensor
    candidates: Tensor


class Completed(Protocol):
    """What is asked of a completion, in [-1, 1]."""

    @property
    def result(self) -> Tensor:
        """The best candidate, `(B, 3, H, W)`."""

    @property
    def candidates(self) -> Tensor:
        """All of them, `(B, K, 3, H, W)`."""


class Completes(Protocol):
    """What completes: a trained network, or a search."""

    def complete(
        self, photos: Tensor, known: Tensor, *, candidates: int, on_step: OnStep | None = None
    ) -> Completed:
        """Complete `(B, 3, H, W)` where `(B, 1, H, W)` is 0; H and W are multiples of the generator's."""


class Inpainter:
    """Completes pictures of any size.

    Args:
        completes: for sizes that divide by `multiple`.
        multiple: pixels.
        largest: pixels of the longer side; larger pictures are refused, because a latent is completed as a
            whole. None takes any.
        device: where it is done; pictures and results stay where they are.
    """

    def __init__(
        self,
        completes: Completes,
        *,
        multiple: int,
        largest: int | None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.completes, self.multiple, self.largest, self.device = completes, multiple, largest, device

    def complete(
        self, photos: Tensor, known: Tensor, *, candidates: int, on_step: OnStep | None = None
    ) -> Completion:
        """Complete `(B, 3, H, W)` in [-1, 1] where `(B, 1, H, W)` is 0.

        The content of the hole is not looked at.

        Raises:
            UsageError: the picture is larger than `largest`, or nothing of it is known.
        """
        height, width = photos.shape[-2:]
        if self.largest is not None and max(height, width) > self.largest:
            raise UsageError(
                f"{width}x{height} pixels are more than max_side={self.largest}: make the picture "
                "smaller, or raise max_side: memory grows with the area"
            )
        if not known.flatten(1).any(dim=1).all():
            raise UsageError("the mask hides the whole photo: nothing is left to go by")
        hidden = torch.where(known > 0.5, photos, torch.zeros_like(photos))
        # As for painting: four cells are the least that reflection and InstanceNorm work with.
        least = 4 * self.multiple
        multiple = self.multiple if min(height, width) >= least else least
        padded, padded_known = (images.pad_to_multiple(each, multiple) for each in (hidden, known))
        done = self.completes.complete(
            padded.to(self.device), padded_known.to(self.device), candidates=candidates, on_step=on_step
        )
        both = (done.result, done.candidates)
        return Completion(*(each.to(photos.device)[..., :height, :width].clamp(-1, 1) for each in both))
