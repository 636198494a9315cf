"""A history of generated images (Shrivastava et al. 2017, section 2.3; CycleGAN, section 4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Hands a discriminator older fakes among the new ones: it is not to chase the last generator alone.

    Until it is full it keeps and returns every image; then, with probability 1/2, an image changes places
    with a random older one. Its content is part of a checkpoint: a resumed run draws on the same history.

    Args:
        size: images kept; 0 returns every batch as it is.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"pool_size={size}: 0 (off) or more images")
        self.size = size
        self.kept: list[Tensor] = []

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Return as many images, `(B, C, H, W)` without graph.

        Args:
            images: wherever they are; none of them is read.
            rng: two draws an image are taken from it; on the processor, for they decide what happens next,
                and to read them from a GPU is to wait until it has done all it was told.

        Raises:
            ValueError: `rng` is on another device.
        """
        if rng.device.type != "cpu":
            raise ValueError(f"a pool draws on the processor, not on {rng.device}")
        if not self.size:
            return images
        draws = torch.rand(len(images), 2, generator=rng).tolist()
        answer = []
        for image, (swap, place) in zip(images.detach(), draws, strict=True):
            given = image
            if len(self.kept) < self.size:
                self.kept.append(image.clone())
            elif swap < 0.5:
                older = int(place * self.size)
                given, self.kept[older] = self.kept[older].to(image), image.clone()
            answer.append(given)
        return torch.stack(answer)

    # Not buffers: DDP would overwrite every rank's history by the first one's; see
    # `ToonMethod.on_save_checkpoint`.
    def get_extra_state(self) -> dict[str, Any]:
        return {"kept": torch.stack(self.kept).cpu() if self.kept else None}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        kept = state["kept"]
        self.kept = [] if kept is None else list(kept[: self.size])
