"""Where the tiles of a picture lie: what is computed of it at once, and what is kept of that."""

from __future__ import annotations

import dataclasses
import itertools
from typing import NamedTuple

from toonlab.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Window:
    """One tile in photo pixels: what is computed, and what of it is kept."""

    seen: tuple[slice, slice]
    kept: tuple[slice, slice]

    def inside(self, stride: int = 1, margin: int = 0) -> tuple[slice, slice]:
        """Return where the kept part, `margin` wider where there is more, lies in the seen one."""
        rows, columns = (
            slice(
                max(kept.start - margin - seen.start, 0) // stride,
                (min(kept.stop + margin, seen.stop) - seen.start) // stride,
            )
            for kept, seen in zip(self.kept, self.seen, strict=True)
        )
        return rows, columns

    def finished(self, margin: int, height: int, width: int) -> Finished:
        """Return where a tile is finished: what is kept and `margin` around it, within the photo's own size.

        The picture may have been padded to more than `height` and `width`; none of that is kept.
        """
        inside = self.inside(margin=margin)
        axes = []
        for seen, part, kept, length in zip(self.seen, inside, self.kept, (height, width), strict=True):
            start, stop = seen.start + part.start, min(seen.start + part.stop, length)
            end = min(kept.stop, length)
            axes.append(
                (
                    slice(start, stop),
                    slice(start - seen.start, stop - seen.start),
                    slice(kept.start - start, end - start),
                    slice(kept.start, end),
                )
            )
        rows, columns = axes
        return Finished(*zip(rows, columns, strict=True))


class Finished(NamedTuple):
    """Rows and columns of one tile that is finished with a margin around what is kept of it.

    Attributes:
        place: of that, in the photo.
        painted: of that, in what the network painted.
        kept: without the margin, in what was finished.
        goal: of the kept part, in the cartoon.
    """

    place: tuple[slice, slice]
    painted: tuple[slice, slice]
    kept: tuple[slice, slice]
    goal: tuple[slice, slice]


def grid(height: int, width: int, *, tile: int, halo: int, multiple: int, share: int = 1) -> list[Window]:
    """Cover a picture with windows of at most (`tile` / `share`)² pixels, `halo` around what is kept of each.

    Everything is a multiple of `multiple`, as height and width are.

    Raises:
        UsageError: nothing is left of a tile but its halo.
    """
    asked, tile = tile, tile // share
    if height * width <= tile**2:
        whole = (slice(0, height), slice(0, width))
        return [Window(whole, whole)]
    halo = -(-halo // multiple) * multiple
    high = min(height, tile)
    wide = min(width, tile**2 // high)
    high = min(height, tile**2 // wide)
    axes = []
    for length, side in ((height, high), (width, wide)):
        core = length if length <= side else (side - 2 * halo) // multiple * multiple
        if core < multiple:
            raise UsageError(
                f"tile={asked} is too small for a generator that looks {halo} pixels around at once: "
                f"use tile={share * 4 * max(halo, multiple)} or more"
            )
        count = -(-length // core)
        cuts = [length // multiple * i // count * multiple for i in range(count + 1)]
        axes.append(
            [
                (slice(max(a - halo, 0), min(b + halo, length)), slice(a, b))
                for a, b in itertools.pairwise(cuts)
            ]
        )
    return [Window((r[0], c[0]), (r[1], c[1])) for r in axes[0] for c in axes[1]]
