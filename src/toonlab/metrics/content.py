"""Is it still the same picture? Distance and edge agreement between a photo and its painted version.

Distances between sets reward a network that paints one good cartoon for every photo; these two catch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab import images as ranges
from toonlab.metrics.features import prepare, weights_sha256


def map_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared distance of unit vectors over channels, `(B, C, H, W)` to a mean over positions `(B,)`.

    Equals 2 - 2 cos: 0 for equal directions, 2 for orthogonal, 4 for opposite ones, whatever C is. This is
    LPIPS (Zhang et al. 2018) with all of its learnt weights at 1.
    """
    return (F.normalize(ours, dim=1) - F.normalize(theirs, dim=1)).square().sum(dim=1).mean(dim=(1, 2))


def edges(images: Tensor, *, thresholds: Sequence[float], tolerance: int) -> tuple[Tensor, Tensor]:
    """Find Canny edges, and the pixels within `tolerance` of one along both axes; `(B, H, W)`, bool, CPU.

    `thresholds` are Canny's low and high, on the 0..255 scale of grey.
    """
    low, high = thresholds
    reach = np.ones((2 * tolerance + 1, 2 * tolerance + 1), np.uint8)
    greys = [cv2.cvtColor(ranges.to_array(image), cv2.COLOR_RGB2GRAY) for image in images]
    found = [cv2.Canny(grey, low, high) for grey in greys]
    near = [cv2.dilate(edge, reach) for edge in found]
    return torch.from_numpy(np.stack(found)) > 0, torch.from_numpy(np.stack(near)) > 0


def edge_f1(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> Tensor:
    """Harmonic mean of the shares of edge pixels near one of the other's, `(B,)`; 1 if neither has any."""
    (our_edges, our_near), (their_edges, their_near) = ours, theirs

    def share(of: Tensor, within: Tensor) -> Tensor:
        return (of & within).sum(dim=(1, 2)) / of.sum(dim=(1, 2)).clamp(min=1)

    precision, recall = share(our_edges, their_near), share(their_edges, our_near)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    neither = ~(our_edges | their_edges).any(dim=2).any(dim=1)
    return torch.where(neither, torch.ones_like(f1), f1)


class ContentDistance:
    """Collects `(distance, edge F1)` of each pair, and of each photo with the photo before it."""

    def __init__(
        self,
        *,
        network: nn.Module,
        name: str,
        input_size: int,
        edge_thresholds: Sequence[float],
        edge_tolerance: int,
    ) -> None:
        """Take a frozen network with several taps.

        Args:
            network: images in [-1, 1] to `{tap: (B, C, H, W)}`; the distance is averaged over its taps.
            name: ends the name of the distance, `content_<name>`.
            input_size: side in pixels to which images are resized, for the edges too.
            edge_thresholds: Canny's low and high, 0..255.
            edge_tolerance: pixels that an edge may move at `input_size`.
        """
        self.network, self.name, self.input_size = network.eval(), name, input_size
        self.edge_options: dict[str, Any] = {
            "thresholds": tuple(edge_thresholds),
            "tolerance": edge_tolerance,
        }
        self.protocol = {
            "extractor": name,
            "network": type(network).__name__,
            "taps": list(getattr(network, "taps", [])),
            "weights_sha256": weights_sha256(network),
            "input": f"8-bit RGB, bilinear with antialias to {input_size}x{input_size}",
            "edges": {"canny_thresholds": list(edge_thresholds), "tolerance_pixels": edge_tolerance},
            "opencv": cv2.__version__,
        }
        self.reset()

    def reset(self) -> None:
        """Forget all pairs."""
        self.pairs: list[Tensor] = []  # (B, 2) each
        self.unrelated: list[Tensor] = []
        self._last_photo: list[Tensor] | None = None

    def update(self, painted: Tensor, photo: Tensor) -> None:
        """Add pairs, `(B, 3, H, W)` in [-1, 1] each."""
        looks = self._look(photo)
        self.pairs.append(_compare(self._look(painted), looks))
        # The level of "another picture": each photo with its predecessor, across batches.
        chain = looks
        if self._last_photo is not None:
            chain = [torch.cat(parts) for parts in zip(self._last_photo, looks, strict=True)]
        self.unrelated.append(_compare([look[1:] for look in chain], [look[:-1] for look in chain]))
        self._last_photo = [look[-1:] for look in looks]

    def _look(self, images: Tensor) -> list[Tensor]:
        """Return one map per tap, then the edges and their surroundings."""
        network = self.network.to(images.device)
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            prepared = prepare(images, self.input_size)
            maps: dict[str, Tensor] = network(prepared)
            return [*maps.values(), *edges(prepared, **self.edge_options)]


def _compare(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    (*our_maps, our_edges, our_near), (*their_maps, their_edges, their_near) = ours, theirs
    distances = [map_distance(a, b).cpu() for a, b in zip(our_maps, their_maps, strict=True)]
    agreement = edge_f1((our_edges, our_near), (their_edges, their_near))
    return torch.stack([torch.stack(distances).mean(dim=0), agreement], dim=1).double()
