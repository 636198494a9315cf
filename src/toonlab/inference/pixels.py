"""A picture's pixels as they were stored, read and written window by window as numbers in [-1, 1].

24 megapixels are 72 MB as bytes and 288 MB as floats: only windows are ever made floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


class Pixels:
    """One picture.

    Args:
        values: `(3, H, W)` float in [-1, 1], on any device; or an `(H, W, 3)` array of uint8 or uint16.
    """

    def __init__(self, values: Tensor | Array) -> None:
        self.values = values
        if isinstance(values, np.ndarray):
            self.height, self.width = values.shape[:2]
            self.half = float(np.iinfo(values.dtype).max) / 2  # numbers between -1 and 0
        else:
            self.height, self.width = values.shape[-2:]

    def read(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """Return a window as `(1, 3, h, w)` in [-1, 1]; beyond bottom and right the picture is reflected.

        As `images.pad_to_multiple` continues it: by repeating the edge where it is too small for that.
        """
        down, beyond_down = _mirrored(rows, self.height)
        right, beyond_right = _mirrored(columns, self.width)
        if isinstance(self.values, np.ndarray):
            part = torch.from_numpy(self.values[down, right].astype(np.float32))
            window = part.permute(2, 0, 1)[None].to(device) / self.half - 1
        else:
            window = self.values[None, :, down, right].to(device)
        if beyond_down is not None:
            window = window.index_select(2, beyond_down.to(device))
        if beyond_right is not None:
            window = window.index_select(3, beyond_right.to(device))
        return window

    def write(self, rows: slice, columns: slice, window: Tensor) -> None:
        """Put `(1, 3, h, w)` there: clipped to [-1, 1], and rounded if these are whole numbers."""
        window = window[0].clamp(-1, 1)
        if isinstance(self.values, np.ndarray):
            levels = ((window + 1) * self.half).round_().permute(1, 2, 0)
            self.values[rows, columns] = levels.cpu().numpy()
        else:
            self.values[:, rows, columns] = window


def _mirrored(along: slice, length: int) -> tuple[slice, Tensor | None]:
    """Return what to read of an axis, and in which order if the window reaches beyond the end."""
    beyond = along.stop - length
    if beyond <= 0:
        return along, None
    places = torch.arange(along.start, along.stop)
    if beyond < length:
        places = torch.where(places < length, places, 2 * (length - 1) - places)
    places = places.clamp(0, length - 1)
    first = int(places.min())
    return slice(first, length), places - first
