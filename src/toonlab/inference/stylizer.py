"""The one way to paint: photo in, cartoon out, any size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from toonlab import images
from toonlab.errors import UsageError, check_choice
from toonlab.inference import cartoon_file, photo_file, tiling
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.colour import keep_colour
from toonlab.inference.graphs import takes_statistics
from toonlab.inference.pixels import Pixels
from toonlab.inference.quality import Small
from toonlab.inference.tiled import Tiled
from toonlab.inference.windows import Window
from toonlab.representations.surface import guided_filter

Precision = Literal["fp32", "bf16", "fp16"]
Finish = Callable[[Tensor, Tensor], Tensor]
"""What is done to cartoons after the generator, given photos and them."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputFilter:
    """Guided filter of the cartoon by its photo (White-box): `radius` in pixels, `eps` for [-1, 1]."""

    radius: int
    eps: float

    @classmethod
    def of(cls, painting: Mapping[str, Any]) -> OutputFilter | None:
        """Return the one that a checkpoint's `painting` asks for, if it does."""
        numbers = painting.get("output_filter")
        return cls(**numbers) if numbers else None


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
        keep_color: share of the photo's chroma in the cartoon, in [0, 1]; see `keep_colour`.
        tiles: of networks with norms that look at everything: `exact` gives what painting at once gives;
            `sampled` takes the norms' statistics from crops, 4 of 255 levels off on average.
        precision: of the generator's arithmetic.
        small: how large pictures are painted as a small copy and lifted; None for full quality.

    Raises:
        UsageError: a setting is out of range.
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
        keep_color: float = 0.0,
        tiles: Literal["exact", "sampled"] = "exact",
        precision: Precision = "fp32",
        small: Small | None = None,
    ) -> None:
        if not 0 <= strength <= 1:
            raise UsageError(
                f"strength={strength} is not in [0, 1]: 0 is the raw cartoon, 1 the filtered one"
            )
        if not 0 <= keep_color <= 1:
            raise UsageError(
                f"keep_color={keep_color} is not in [0, 1]: 0 is the cartoon's colours, 1 the photo's"
            )
        if tile is not None and tile < 4 * multiple:
            raise UsageError(
                f"tile={tile} is too small: use at least {4 * multiple} pixels, or null for no tiles"
            )
        check_choice("tiles", tiles, ["exact", "sampled"])
        check_choice("precision", precision, list(_DTYPES))
        self.device = torch.device(device)
        self.layout = _layout(generator, self.device)
        self.generator = generator.eval().to(self.device).to(memory_format=self.layout)
        self.multiple, self.strength, self.keep_color = multiple, strength, keep_color
        self.tile = tile if tile is None else tile // multiple * multiple
        self.output_filter = output_filter if strength > 0 else None
        self.precision, self.small = precision, small
        self.tiled = None
        if self.tile:
            self.tiled = Tiled(
                self.generator,
                multiple=multiple,
                tile=self.tile,
                tiles=tiles,
                device=self.device,
                arithmetic=self._arithmetic,
            )

    def paint(self, photos: Tensor, on_tile: tiling.OnTile | None = None) -> Tensor:
        """Paint `(B, 3, H, W)` in [-1, 1]; returns the same shape, clipped to [-1, 1].

        Raises:
            UsageError: the pictures need tiles, and `tile` is too small for this generator or no tile is
                large enough.
        """
        if not self.at_once(*photos.shape[-2:]):
            cartoons = torch.empty_like(photos)
            for photo, cartoon in zip(photos, cartoons, strict=True):
                self.paint_pixels(Pixels(photo), Pixels(cartoon), on_tile)
            return cartoons
        with torch.inference_mode():
            return self._whole(photos, self._finish).clamp_(-1, 1)

    def paint_pixels(self, photo: Pixels, cartoon: Pixels, on_tile: tiling.OnTile | None = None) -> None:
        """Paint one picture into another of its size, window by window, in memory that tiles bound.

        Raises:
            UsageError: as `paint`.
        """
        size = photo.height, photo.width
        everything = slice(0, size[0]), slice(0, size[1])
        with torch.inference_mode():
            if self.small and self.small.takes(*size):
                how: dict[str, Any] = {"paint": self._small, "recolour": self._recoloured}
                self.small.paint(photo, cartoon, device=self.device, **how)
            elif self._fits(*size):
                whole = self._whole(photo.read(*everything, self.device), self._finish)
                cartoon.write(*everything, whole)
            else:
                self._in_tiles(photo, cartoon, on_tile, self._finish)

    def paint_file(
        self,
        source: Path,
        target: Path,
        on_tile: tiling.OnTile | None = None,
        *,
        encoding: Encoding | None = None,
    ) -> str | None:
        """Paint one file into another, in the format of the target's suffix.

        Alpha and colour profile are kept, EXIF is not; an animation's frames are all painted where the
        format can hold them. See `photo_file` and `cartoon_file`.

        Returns:
            What the target lacks of the source, in words; None if nothing.

        Raises:
            BadImageError: the source cannot be decoded.
            UsageError: the source has alpha and the target's format cannot hold it.
        """
        encoding = encoding or Encoding()
        photo = photo_file.read(source, target)
        cartoon_file.check_holds(photo, source, target)
        painted = self.paint_photo(photo, on_tile, dtype=encoding.dtype(target, photo))
        cartoon_file.write_photo(painted, target, encoding=encoding)
        return photo.lacking

    def paint_photo(
        self, photo: photo_file.Photo, on_tile: tiling.OnTile | None = None, *, dtype: Any = np.uint8
    ) -> photo_file.Photo:
        """Paint what a file holds, as `dtype`; an animation's frames one by one, when they are asked for."""
        return photo.with_pixels(lambda values: self.paint_array(values, on_tile, dtype=dtype))

    def paint_array(
        self, rgb: photo_file.Array, on_tile: tiling.OnTile | None = None, *, dtype: Any = np.uint8
    ) -> photo_file.Array:
        """Paint `(H, W, 3)` of uint8 or uint16 into the same shape of `dtype`."""
        painted = np.empty(rgb.shape, dtype)
        self.paint_pixels(Pixels(rgb), Pixels(painted), on_tile)
        return painted

    def paint_together(
        self, photos: Sequence[photo_file.Photo], *, dtype: Any = np.uint8
    ) -> list[photo_file.Photo]:
        """Paint stills of one size in one batch; the generator runs on as many at once as fit into a tile."""
        stack = [Pixels(next(photo.frames()).rgb) for photo in photos]
        everything = slice(0, stack[0].height), slice(0, stack[0].width)
        cartoons = self.paint(torch.cat([pixels.read(*everything, self.device) for pixels in stack]))
        done = []
        for photo, cartoon in zip(photos, cartoons, strict=True):
            target = Pixels(np.empty((cartoon.shape[-2], cartoon.shape[-1], 3), dtype))
            target.write(*everything, cartoon[None])
            done.append(photo.with_pixels(lambda _, values=target.values: values))  # type: ignore[misc]
        return done

    def at_once(self, height: int, width: int) -> bool:
        """Whether pictures of a size are painted in one go: neither in tiles nor as a small copy."""
        if self.small and self.small.takes(height, width):
            return False
        return self._fits(height, width)

    def _fits(self, height: int, width: int) -> bool:
        multiple = images.padding_multiple(height, width, self.multiple)
        area = -(-height // multiple) * -(-width // multiple) * multiple**2
        return self.tile is None or area <= self.tile**2

    def _whole(self, photos: Tensor, finish: Finish) -> Tensor:
        """Paint pictures that need no tiles, `(B, 3, H, W)`; not clipped."""
        height, width = photos.shape[-2:]
        padded = images.pad_to_multiple(photos, images.padding_multiple(height, width, self.multiple))
        area = padded.shape[-2] * padded.shape[-1]
        few = max(self.tile**2 // area, 1) if self.tile else len(photos)
        cartoons = torch.cat([self._run(part) for part in torch.split(padded, few)])[..., :height, :width]
        return finish(photos, cartoons)

    def _small(self, photo: Tensor) -> Tensor:
        """Paint the small copy that is to be lifted, `(1, 3, h, w)`: colours are kept after that."""
        if self._fits(*photo.shape[-2:]):
            return self._whole(photo, self._filtered)
        cartoon = torch.empty_like(photo)
        self._in_tiles(Pixels(photo[0]), Pixels(cartoon[0]), None, self._filtered)
        return cartoon

    def _finish(self, photos: Tensor, cartoons: Tensor) -> Tensor:
        """Filter and colour what the generator painted."""
        return self._recoloured(self._filtered(photos, cartoons), photos)

    def _filtered(self, photos: Tensor, cartoons: Tensor) -> Tensor:
        if by := self.output_filter:
            smooth = guided_filter(photos, cartoons, by.radius, by.eps)
            cartoons = cartoons.lerp(smooth, self.strength)
        return cartoons

    def _recoloured(self, cartoons: Tensor, photos: Tensor) -> Tensor:
        return keep_colour(cartoons, photos, self.keep_color) if self.keep_color else cartoons

    def _in_tiles(
        self, photo: Pixels, cartoon: Pixels, on_tile: tiling.OnTile | None, finish: Finish
    ) -> None:
        if self.tiled is None:
            raise ValueError("no tiles were asked for")
        multiple = images.padding_multiple(photo.height, photo.width, self.multiple)
        height, width = (-(-n // multiple) * multiple for n in (photo.height, photo.width))
        margin = 2 * self.output_filter.radius if self.output_filter else 0

        def read(rows: slice, columns: slice) -> Tensor:
            window = photo.read(rows, columns, self.device)
            return window.contiguous(memory_format=self.layout)

        def put(window: Window, painted: Tensor) -> None:
            """Put a tile into the cartoon, filtered with some of what lies around it."""
            at = window.finished(margin, photo.height, photo.width)
            part = painted[..., at.painted[0], at.painted[1]].float()
            done = finish(photo.read(*at.place, self.device), part)
            cartoon.write(*at.goal, done[..., at.kept[0], at.kept[1]])

        self.tiled.paint(
            read, (height, width), multiple=multiple, margin=margin, on_cartoon=put, on_tile=on_tile
        )

    def _arithmetic(self) -> torch.autocast:
        dtype = _DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

    def _run(self, photos: Tensor) -> Tensor:
        inputs = photos.to(self.device).contiguous(memory_format=self.layout)
        with self._arithmetic():
            cartoons: Tensor = self.generator(inputs)
        return cartoons.float().to(photos.device)


def _layout(generator: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the layout in which a generator is fastest.

    Processors normalise instances plane by plane: AnimeGAN takes 1.6 times as long in channels_last,
    White-box, without norms, 0.8 times. `benchmarks/inference.py`.
    """
    if device.type == "cpu" and any(map(takes_statistics, generator.modules())):
        return torch.contiguous_format
    return torch.channels_last
