"""The searching way to complete a latent (source 000): a bank's nearest ones, refined by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toonlab.engine.terms import Terms
from toonlab.errors import UsageError
from toonlab.losses.hole import hole_mean, hole_variation
from toonlab.networks.known_norm import known_statistics
from toonlab.networks.layers import LatentGenerator
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.latent_mask import context_weights, known_cells


class Start(NamedTuple):
    """Where a search begins; what it wants of the cartoon, and where it may change the latent.

    Attributes:
        latent: z⁰, the prefilled photo's where it is known, a bank's elsewhere, `(B, C, h, w)`.
        target: the prefilled photo's cartoon T, `(B, 3, H, W)`; looked at outside the hole.
        weights: W, `(B, 1, H, W)`.
        cells: known ones, `(B, 1, h, w)`.
        missing: `(B, 1, H, W)`.
    """

    latent: Tensor
    target: Tensor
    weights: Tensor
    cells: Tensor
    missing: Tensor


class LatentSearch:
    """What the search is made of; the steps are an optimiser's.

    Args:
        starts: nearest latents of the bank to start from, each refined alone.
        erode: cells that the known region of the latent shrinks by, see `known_cells`.
        window: pixels around a known one whose missing share is its weight; odd.
        steps: of refinement, at use; in training the run's iterations.
        lr: of Adam, in the latent's own unit.
        temperature: T of the last start, the nearest latents mixed by softmax(-d / T), in units of the
            nearest's distance d; None starts from another single one instead.
        mask_aware: let the encoder's norms take statistics over known places alone.
    """

    def __init__(
        self,
        *,
        starts: int,
        erode: int,
        window: int,
        steps: int,
        lr: float,
        mask_aware: bool,
        temperature: float | None = None,
    ) -> None:
        if starts < 1 or steps < 0:
            raise UsageError(f"method.search: starts={starts}, steps={steps}: 1 or more, and 0 or more")
        if erode < 0 or window < 1 or window % 2 == 0:
            raise UsageError(f"method.search: erode={erode}, window={window}: 0 or more cells, odd pixels")
        if temperature is not None and temperature <= 0:
            raise UsageError(f"method.search.temperature={temperature}: above 0, or null for no mixture")
        self.temperature = temperature
        self.starts, self.erode, self.window = starts, erode, window
        self.steps, self.lr, self.mask_aware = steps, lr, mask_aware

    @torch.no_grad()
    def begin(
        self, painter: LatentGenerator, bank: LatentBank, prefilled: Tensor, known: Tensor, count: int
    ) -> list[Start]:
        """Return `count` starts, from the nearest latents to the farther; fewer if the bank is smaller."""
        if self.mask_aware:
            with known_statistics(painter, known):
                latent = painter.encode(prefilled)
        else:
            latent = painter.encode(prefilled)
        cells = known_cells(known, painter.multiple, self.erode)
        target, weights = painter.decode(latent), context_weights(known, self.window)
        distances, nearest = bank.nearest(latent, cells, min(count, len(bank)))
        size = (int(latent.shape[2]), int(latent.shape[3]))
        maps = [bank.maps(rank, size) for rank in nearest.T]
        if self.temperature is not None and len(maps) > 1:
            maps[-1] = mixture(maps, distances, self.temperature)
        return [
            Start(cells * latent + (1 - cells) * each, target, weights, cells, 1 - known) for each in maps
        ]

    def terms(
        self,
        start: Start,
        latent: Tensor,
        cartoon: Tensor,
        spread: Tensor,
        fooled: Callable[[], Tensor] | None,
    ) -> Terms:
        """Return the loss of a latent `(B, C, h, w)` and its cartoon by term.

        `context`: Σ W·|Dec(z) - T| / ΣW, a mean over channels too; `prior`: `fooled()`, or 0; `bank`: the
        squared distance from z⁰ in the bank's units, over unknown cells; `tv`: of the hole.
        """
        unit = spread[:, None, None]
        return {
            "context": lambda: hole_mean((cartoon - start.target).abs(), start.weights),
            "prior": fooled or (lambda: cartoon.new_zeros(())),
            "bank": lambda: hole_mean(((latent - start.latent) / unit).square(), 1 - start.cells),
            "tv": lambda: hole_variation(cartoon, start.missing),
        }


def mixture(maps: Sequence[Tensor], distances: Tensor, temperature: float) -> Tensor:
    """Mix latents `(B, C, h, w)` by softmax(-d / T), the nearest most.

    Args:
        maps: K of them, from the nearest on.
        distances: `(B, K)`.
        temperature: T in units of each picture's smallest distance.
    """
    unit = temperature * distances[:, :1].clamp(min=1e-12)
    shares = torch.softmax(-distances / unit, dim=1).to(maps[0])
    total: Tensor = torch.stack(
        [s[:, None, None, None] * m for s, m in zip(shares.T, maps, strict=True)]
    ).sum(0)
    return total


class Offsets(nn.Module):
    """The latents that a search changes: an offset from z⁰ for each photo of the batch, 0 at first.

    Args:
        shape: `(B, C, h, w)`.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(*shape))

    def forward(self, start: Start) -> Tensor:
        """Return the latents; known cells stay what they are, bit by bit."""
        return torch.where(start.cells > 0, start.latent, start.latent + self.value)
