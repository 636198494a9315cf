"""Where a picture is missing: made-up holes to train and judge with, and masks that people painted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from toonlab import images
from toonlab.errors import UsageError, check_choice

log = logging.getLogger(__name__)

KINDS = ("box", "blocks", "random", "half", "grid")

_TRIES = 1000  # draws of blocks before a picture is called too small for them
_GREY = 32, 223  # 0..255; beyond lie what JPEG makes of black and of white


def hole(
    kind: str,
    height: int,
    width: int,
    rng: torch.Generator,
    *,
    box_side: float = 0.5,
    block_counts: Sequence[int] = (1, 5),
    block_shares: Sequence[float] = (0.05, 0.4),
    random_share: float = 0.2,
    grid_step: int = 4,
) -> Tensor:
    """Draw a known-mask `(1, H, W)`, 1 = known, 0 = missing, on the CPU.

    Args:
        kind: `box` in the centre, `blocks` (rectangles anywhere), `random` pixels, the left `half`, or
            `grid`: all but every `grid_step`-th pixel each way is missing. Box, half and grid draw nothing.
        height: pixels.
        width: pixels.
        rng: draws blocks and random pixels.
        box_side: share of each side that the box takes, in the middle.
        block_counts: fewest and most rectangles.
        block_shares: least and most of the picture that they cover together.
        random_share: of the pixels, each missing on its own. Both public codebases drop 20 %; Yeh et al.'s
            figures drop 80 %, which is `random_share=0.8`.
        grid_step: pixels from one known pixel to the next.

    Raises:
        UsageError: no such kind, or the picture is too small for a hole and something around it.
    """
    check_choice("mask", kind, KINDS)
    known = torch.ones(1, height, width)
    if kind == "box":
        top, left = (round(side * (1 - box_side) / 2) for side in (height, width))
        known[:, top : height - top, left : width - left] = 0
    elif kind == "half":
        known[..., : width // 2] = 0
    elif kind == "grid":
        known[:] = 0
        known[:, ::grid_step, ::grid_step] = 1
    elif kind == "random":
        known = (torch.rand(1, height, width, generator=rng, device=rng.device) >= random_share).float().cpu()
    else:
        known = _blocks(height, width, rng, block_counts, block_shares)
    if not 0 < float(known.sum()) < known.numel():
        raise UsageError(
            f"mask={kind}: a picture of {width}x{height} pixels is too small for a hole with a rest"
        )
    return known


def _blocks(
    height: int, width: int, rng: torch.Generator, counts: Sequence[int], shares: Sequence[float]
) -> Tensor:
    low, high = shares
    for _ in range(_TRIES):
        count = int(torch.randint(counts[0], counts[1] + 1, (1,), generator=rng, device=rng.device))
        draws = torch.rand(count, 3, generator=rng, device=rng.device).tolist()
        total = float(torch.empty(1, device=rng.device).uniform_(low, high, generator=rng))
        known = torch.ones(1, height, width)
        for shape, down, right in draws:
            # As high as wide on the whole, between 1:2 and 2:1 of the picture's own proportions.
            tall, wide = 2 ** (shape - 0.5), 2 ** (0.5 - shape)
            side = (total / count) ** 0.5
            rows, columns = max(1, round(height * side * tall)), max(1, round(width * side * wide))
            rows, columns = min(rows, height), min(columns, width)
            top, left = round(down * (height - rows)), round(right * (width - columns))
            known[:, top : top + rows, left : left + columns] = 0
        if low <= 1 - float(known.mean()) <= high:  # else they overlap, or rounding made them too large
            return known
    raise UsageError(f"mask=blocks: a picture of {width}x{height} pixels is too small for them")


def read_mask(path: Path, height: int, width: int, *, resize: bool = False) -> Tensor:
    """Read a painted mask as known-mask `(1, H, W)`: white is to be filled, black is known.

    That is OpenCV's and most editors' convention. Transparent parts count as black, so white strokes on an
    empty layer are read as they look. Grey is decided at 50 %, with a warning that counts it.

    Args:
        path: any image; colours are taken as their grey.
        height: of the photo, upright, in pixels.
        width: likewise.
        resize: bring a mask of another size to the photo's (nearest pixel) instead of refusing it.

    Raises:
        BadImageError: the file cannot be decoded.
        UsageError: it has another size than the photo, nothing is left of the photo, or it hides its hole in
            its transparency.
    """
    picture = images.decode(path)
    grey = picture.rgb.convert("L")
    if picture.alpha is not None:
        grey = Image.composite(grey, Image.new("L", grey.size, 0), picture.alpha)
    if grey.size != (width, height):
        if not resize:
            raise UsageError(
                f"mask={path} is {grey.width}x{grey.height} and its photo {width}x{height} pixels: make them "
                "equal, or say mask_resize=true"
            )
        grey = grey.resize((width, height), Image.Resampling.NEAREST)
    values = np.array(grey)
    unsure = int(((values > _GREY[0]) & (values < _GREY[1])).sum())
    if unsure:
        log.warning(
            "mask %s: %d of its pixels (%.1f %%) are grey; what is lighter than half will be filled",
            *(path, unsure, 100 * unsure / values.size),
        )
    known = torch.from_numpy((values < 128).astype(np.float32))[None]
    if not known.any():
        raise UsageError(f"mask={path} is white all over: nothing of the photo is left to go by")
    if known.all() and picture.alpha is not None:
        raise UsageError(f"mask={path} is nowhere white, only transparent: paint what is to be filled white")
    return known
