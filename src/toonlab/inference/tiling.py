"""What overlapping tiles need: how far a network looks, and statistics that are the same in all of them.

Tiles are exact where a network looks only around each pixel: then an overlap of its reach changes nothing.
InstanceNorm and GroupNorm look at everything; `fixed_statistics` settles their means and variances
beforehand, so that all tiles are painted alike (`staged` does so exactly).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference.graphs import takes_statistics

OnTile = Callable[[int, int], None]
"""Called with (tiles done, tiles in all)."""


def reach(generator: nn.Module, multiple: int, device: torch.device) -> int:
    """Measure how many pixels away an output still depends on the input, by one backward pass.

    Norms are held fixed. Two thin strips of noise are probed, along the height and along the width.

    Raises:
        UsageError: some layer mixes the whole picture (attention, say), so no overlap is enough; or resizes
            it by its corners.
    """
    if any(isinstance(module, nn.Upsample) and module.align_corners for module in generator.modules()):
        raise UsageError(
            f"{type(generator).__name__} resizes with align_corners=true, which differs from tile to tile: "
            f"set tile=null, or make the picture smaller"
        )
    if (known := getattr(generator, "reach", None)) is not None:
        return int(known)  # of a network that has no backward pass, an ONNX file's
    length, middle, thickness = 512, 256, 16 * multiple
    distance = 0
    with torch.inference_mode(False), torch.enable_grad(), fixed_statistics(generator):
        noise = torch.randn(1, 3, length, thickness, generator=torch.Generator().manual_seed(0))
        for axis in (2, 3):
            strip = noise.transpose(2, axis).to(device).requires_grad_()
            block = generator(strip).narrow(axis, middle, multiple)
            (gradient,) = torch.autograd.grad(block.sum(), strip)
            touched = gradient.transpose(2, axis).abs().amax(dim=(0, 1, 3)).nonzero().flatten()
            first, last = int(touched[0]), int(touched[-1])
            if first == 0 or last == length - 1:
                raise UsageError(
                    f"{type(generator).__name__} looks beyond {middle} pixels, so it cannot paint in "
                    f"tiles: set tile=null, or make the picture smaller"
                )
            # The block's last pixel may depend on the first one touched, and the other way round.
            distance = max(distance, middle + multiple - 1 - first, last - middle)
    return distance


@contextmanager
def fixed_statistics(generator: nn.Module) -> Iterator[bool]:
    """Hold every InstanceNorm2d and GroupNorm at the statistics of the first batch; later batches reuse them.

    The first batch is pooled: several crops count as one picture. The generator must be in eval mode. Yields
    whether there are such norms.
    """
    norms = [norm for norm in generator.modules() if takes_statistics(norm)]
    for norm in norms:
        norm.__dict__["forward"] = _Fixed(norm)  # found before the class's own
    try:
        yield bool(norms)
    finally:
        for norm in norms:
            del norm.__dict__["forward"]


class _Fixed:
    """A norm's forward pass with the statistics of its first input."""

    def __init__(self, norm: nn.GroupNorm | nn.InstanceNorm2d) -> None:
        self.norm = norm
        self.statistics: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.statistics is None:
            # Of channels that share a mean, as many groups; InstanceNorm's channels stand alone.
            groups = self.norm.num_groups if isinstance(self.norm, nn.GroupNorm) else x.shape[1]
            grouped = x.detach().reshape(len(x), groups, -1, *x.shape[2:])
            variance, mean = torch.var_mean(grouped, dim=(0, 2, 3, 4), correction=0)
            shared = x.shape[1] // groups
            self.statistics = mean.repeat_interleave(shared), variance.repeat_interleave(shared)
        return F.batch_norm(x, *self.statistics, self.norm.weight, self.norm.bias, eps=self.norm.eps)


def sample_windows(height: int, width: int, tile: int, multiple: int) -> list[tuple[slice, slice]]:
    """Return where to take a grid of small crops, together about `tile`² pixels: rows and columns of each.

    Crops and not a smaller copy, because statistics of filter responses change with the scale of the detail;
    many small ones, because few large ones miss parts of the picture. Measured on photos of 12 tiles, as mean
    distance from the untiled result: 4.1 of 255 levels with 8x8 crops, 8.4 with 4x4, 7.3 with a smaller copy.
    """
    per_axis = max(8, tile // 64)
    size = max(tile // per_axis // multiple, 4) * multiple  # four cells at the least, as in `Stylizer.paint`
    high, wide = min(size, height), min(size, width)
    corners = [
        ((height - high) * i // (per_axis - 1), (width - wide) * j // (per_axis - 1))
        for i in range(per_axis)
        for j in range(per_axis)
    ]
    return [(slice(top, top + high), slice(left, left + wide)) for top, left in corners]
