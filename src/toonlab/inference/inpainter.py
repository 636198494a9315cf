"""The one way to inpaint: damaged photo in, cartoon out, any size."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from toonlab import images
from toonlab.errors import UsageError
from toonlab.representations.inpainting.completion import Completion, OnStep


class Completes(Protocol):
    """What completes: a trained network, or a search."""

    def complete(
        self, photos: Tensor, known: Tensor, *, candidates: int, on_step: OnStep | None = None
    ) -> Completion:
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
        multiple = images.padding_multiple(height, width, self.multiple)
        padded, padded_known = (images.pad_to_multiple(each, multiple) for each in (hidden, known))
        done = self.completes.complete(
            padded.to(self.device), padded_known.to(self.device), candidates=candidates, on_step=on_step
        )

        def cropped(cartoons: Tensor) -> Tensor:
            return cartoons.to(photos.device)[..., :height, :width].clamp(-1, 1)

        return Completion(cropped(done.result), cropped(done.candidates), done.scores.to(photos.device))
