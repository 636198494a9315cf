"""How large photos are painted: in full, or as a small copy that is lifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from toonlab.engine.quality import QUALITIES
from toonlab.errors import check_choice
from toonlab.inference.broad import Broad
from toonlab.inference.fast import Fast
from toonlab.inference.pixels import Pixels

AUTO = "auto"
CHOICES = (AUTO, *QUALITIES)


class Small(Protocol):
    """A way to paint a small copy and lift it; see `Fast` and `Broad`."""

    def takes(self, height: int, width: int) -> bool:
        """Whether a picture is painted small."""

    def paint(
        self,
        photo: Pixels,
        cartoon: Pixels,
        *,
        paint: Callable[[Tensor], Tensor],
        recolour: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
    ) -> None:
        """Paint a photo into a cartoon of its size."""


KINDS: Mapping[str, Callable[..., Small]] = {"fast": Fast, "broad": Broad}


def small_copy(quality: str, painting: Mapping[str, Any], **settings: Mapping[str, Any]) -> Small | None:
    """Return how small copies are painted and lifted, None for full quality.

    Args:
        quality: one of `CHOICES`; `auto` is what the network asks for, and full if it does not.
        painting: of the network's checkpoint; `quality` in it is its wish.
        settings: of each kind by name, where not as by default.

    Raises:
        UsageError: there is no such quality, or a setting is out of range.
    """
    check_choice("quality", quality, CHOICES)
    kind = painting.get("quality", "full") if quality == AUTO else quality
    check_choice("the network's painting.quality", kind, QUALITIES)
    return KINDS[kind](**settings.get(kind, {})) if kind in KINDS else None
