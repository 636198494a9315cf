"""How well a hole was filled: distances to a clean picture, taken in the hole alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from toonlab import images as ranges
from toonlab.metrics.features import prepare, weights_sha256

PSNR_TOP = 100.0  # dB, given to equal pictures, so that a mean stays finite


def hole_l1(ours: Tensor, clean: Tensor, known: Tensor) -> Tensor:
    """Mean absolute difference in the hole, of 8-bit values on the [0, 1] scale, `(B,)`; NaN without a hole.

    Args:
        ours: `(B, 3, H, W)` in [-1, 1].
        clean: likewise.
        known: `(B, 1, H, W)`, 1 = known, 0 = missing.
    """
    return _mean((_saved(ours) - _saved(clean)).abs(), known)


def hole_psnr(ours: Tensor, clean: Tensor, known: Tensor) -> Tensor:
    """Peak signal to noise in the hole, in dB of 8-bit values with peak 255, `(B,)`; 100 for equal ones.

    NaN without a hole; arguments as of `hole_l1`.
    """
    error = _mean((_saved(ours) - _saved(clean)).square(), known)
    return (-10 * error.log10()).clamp(max=PSNR_TOP)


class HoleDistance:
    """Distance of features in the hole: LPIPS-style, each place weighed by the hole's share of it.

    No `nn.Module`: whoever holds it neither trains nor saves its network.

    Args:
        network: images in [-1, 1] to `{tap: (B, C, H, W)}`, frozen; the distance is averaged over its taps.
        name: ends the score's name, `hole_<name>`.
        input_size: side in pixels to which images are resized; None looks at them as they are.
    """

    def __init__(self, *, network: nn.Module, name: str, input_size: int | None) -> None:
        self.network, self.name, self.input_size = network.eval(), name, input_size
        self.protocol = {
            "extractor": name,
            "network": type(network).__name__,
            "taps": list(getattr(network, "taps", [])),
            "weights_sha256": weights_sha256(network),
            "input": f"8-bit RGB, bilinear with antialias to {input_size}x{input_size}"
            if input_size
            else "8-bit RGB at its own size",
        }

    def __call__(self, ours: Tensor, clean: Tensor, known: Tensor) -> Tensor:
        """Return `(B,)`; 0 for equal pictures, 4 at most, NaN without a hole. Arguments as of `hole_l1`.

        A feature sees more than its place: pictures that differ outside the hole alone score above 0.
        """
        our_maps, clean_maps, hole = self._look(ours), self._look(clean), 1 - known.float()
        distances = []
        for a, b in zip(our_maps, clean_maps, strict=True):
            turned = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1, keepdim=True)
            weight = F.interpolate(hole, size=turned.shape[-2:], mode="area")
            distances.append((turned * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3)))
        return torch.stack(distances).mean(dim=0)

    def _look(self, images: Tensor) -> list[Tensor]:
        network = self.network.to(images.device)
        with torch.inference_mode(), torch.autocast(images.device.type, enabled=False):
            if self.input_size:
                prepared = prepare(images, self.input_size)
            else:
                prepared = ranges.from_uint8(ranges.to_uint8(images))
            maps: dict[str, Tensor] = network(prepared)
            return [each.float() for each in maps.values()]


class HoleMetrics(Metric):
    """Collects hole-only scores of pictures; those without a hole are counted apart.

    Args:
        distance: the perceptual one; None leaves it out.
        **common: see `Metric`; `sync_on_compute` is off, for a run's first process scores alone.
    """

    full_state_update = False
    scores: list[Tensor]
    whole: Tensor

    def __init__(self, *, distance: HoleDistance | None, **common: Any) -> None:
        super().__init__(**{"sync_on_compute": False} | common)
        # In a tuple, because torch would take an attribute's network for a part of this one.
        self._measures: tuple[tuple[str, Callable[[Tensor, Tensor, Tensor], Tensor]], ...] = (
            ("hole_l1", hole_l1),
            ("hole_psnr", hole_psnr),
            *([(f"hole_{distance.name}", distance)] if distance else []),
        )
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("whole", torch.tensor(0), dist_reduce_fx="sum")

    @property
    def names(self) -> list[str]:
        """Names of the scores, in the order of `rows`."""
        return [name for name, _ in self._measures]

    def update(self, ours: Tensor, clean: Tensor, known: Tensor) -> None:
        """Add `(B, 3, H, W)` in [-1, 1], their clean pictures and `(B, 1, H, W)`, 1 = known."""
        scores = self.measure(ours, clean, known)
        damaged = (known < 0.5).flatten(1).any(dim=1)
        self.scores.append(scores[damaged])
        self.whole += (~damaged).sum()

    def measure(self, ours: Tensor, clean: Tensor, known: Tensor) -> Tensor:
        """Return the scores of each picture, `(B, number of names)` float64, without adding them."""
        return torch.stack([m(ours, clean, known).double() for _, m in self._measures], dim=1)

    def rows(self) -> Tensor:
        """Return what was collected, `(n, number of names)`."""
        scores = self.scores if isinstance(self.scores, list) else [self.scores]
        return torch.cat(scores) if scores else torch.zeros(0, len(self.names), dtype=torch.float64)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of each score; NaN if there was no hole."""
        return dict(zip(self.names, self.rows().mean(dim=0), strict=True))


def _saved(images: Tensor) -> Tensor:
    return ranges.to_uint8(images).double() / 255


def _mean(values: Tensor, known: Tensor) -> Tensor:
    hole = (known < 0.5).double()
    total: Tensor = (values * hole).sum(dim=(1, 2, 3)) / (hole.sum(dim=(1, 2, 3)) * values.shape[1])
    return total
