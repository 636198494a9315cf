"""The one way to paint: photo in, cartoon out, any size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference import tiling
from toonlab.inference.cartoon_file import OPAQUE, write
from toonlab.representations.surface import guided_filter


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputFilter:
    """Guided filter of the cartoon by its photo (White-box): `radius` in pixels, `eps` for [-1, 1]."""

    radius: int
    eps: float


class Stylizer:
    """Paints with one generator; the only code that does.

    Takes the generator over (moves it, sets it to eval): hand in a copy of one that is still in training.

    Args:
        generator: photo to cartoon, `(B, 3, H, W)` in [-1, 1], same shape.
        multiple: what H and W must divide by for the generator; pictures are padded and cropped to suit.
        output_filter: applied to the cartoon with the photo as guide; None for the raw output.
        strength: share of the filtered cartoon, in [0, 1]; 0 is the raw one (White-box's δ).
        tile: side in pixels of the largest square painted at once, which bounds the memory; larger pictures
            are painted in tiles. None paints everything at once.
        device: where the generator runs; pictures and results stay where they are.

    Raises:
        UsageError: `strength` or `tile` is out of range.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        multiple: int,
        output_filter: OutputFilter | None,
        strength: float = 1.0,
        tile: int | None,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0 <= strength <= 1:
            raise UsageError(
                f"strength={strength} is not in [0, 1]: 0 is the raw cartoon, 1 the filtered one"
            )
        if tile is not None and tile < 4 * multiple:
            raise UsageError(
                f"tile={tile} is too small: use at least {4 * multiple} pixels, or null for no tiles"
            )
        self.device = torch.device(device)
        # channels_last: White-box is 1.3 times as fast with it on a CPU, CartoonGAN no slower.
        self.generator = generator.eval().to(self.device).to(memory_format=torch.channels_last)
        self.multiple, self.strength = multiple, strength
        self.tile = tile if tile is None else tile // multiple * multiple
        self.output_filter = output_filter if strength > 0 else None
        self._reach: int | None = None

    def paint(self, photos: Tensor, on_tile: tiling.OnTile | None = None) -> Tensor:
        """Paint `(B, 3, H, W)` in [-1, 1]; returns the same shape, clipped to [-1, 1].

        Raises:
            UsageError: the pictures need tiles, and `tile` is too small for this generator or no tile is
                large enough.
        """
        height, width = photos.shape[-2:]
        # A few cells at the bottleneck are the least that reflection and InstanceNorm work with.
        least = 4 * self.multiple
        padded = images.pad_to_multiple(photos, self.multiple if min(height, width) >= least else least)
        with torch.inference_mode():
            cartoons = self._generate(padded, on_tile)[..., :height, :width]
            if self.output_filter:
                cartoons = cartoons.lerp(self._filter(photos, cartoons, self.output_filter), self.strength)
            return cartoons.clamp(-1, 1)

    def paint_file(self, source: Path, target: Path, on_tile: tiling.OnTile | None = None) -> None:
        """Paint one file into another, in the format of the target's suffix.

        Alpha and colour profile are kept, EXIF is not; see `write`.

        Raises:
            BadImageError: the source cannot be decoded.
            UsageError: the source has alpha and the target's format cannot hold it.
        """
        picture = images.decode(source)
        if picture.alpha is not None and target.suffix.lower() in OPAQUE:
            raise UsageError(f"{source} has alpha and {target} cannot hold it: name the output .png")
        write(self.paint(images.to_tensor(picture.rgb)[None], on_tile)[0], target, photo=picture)

    def _generate(self, photos: Tensor, on_tile: tiling.OnTile | None) -> Tensor:
        area = photos.shape[-2] * photos.shape[-1]
        if self.tile is None:
            return self._run(photos)
        if area <= self.tile**2:
            return torch.cat([self._run(few) for few in torch.split(photos, self.tile**2 // area)])
        if self._reach is None:
            self._reach = tiling.reach(self.generator, self.multiple, self.device)
        cartoons = []
        for photo in torch.split(photos, 1):  # InstanceNorm's statistics belong to a picture, not a batch
            with tiling.fixed_statistics(self.generator) as are_needed:
                if are_needed:
                    self._run(tiling.sample(photo, self.tile, self.multiple))
                cartoon = tiling.in_tiles(
                    self._run,
                    photo,
                    tile=self.tile,
                    overlap=self._reach,
                    multiple=self.multiple,
                    on_tile=on_tile,
                )
            cartoons.append(cartoon)
        return torch.cat(cartoons)

    def _run(self, photos: Tensor) -> Tensor:
        inputs = photos.to(self.device).contiguous(memory_format=torch.channels_last)
        cartoons: Tensor = self.generator(inputs)
        return cartoons.to(photos.device)

    def _filter(self, photos: Tensor, cartoons: Tensor, by: OutputFilter) -> Tensor:
        def conditioned(pair: Tensor) -> Tensor:
            return guided_filter(pair[:, :3], pair[:, 3:], by.radius, by.eps)

        pairs = torch.cat([photos, cartoons], dim=1)
        if self.tile is None:
            return conditioned(pairs)
        # In tiles as well: the filter's moments of a whole 4000x3000 picture would take gigabytes.
        return tiling.in_tiles(conditioned, pairs, tile=self.tile, overlap=2 * by.radius, multiple=1)
