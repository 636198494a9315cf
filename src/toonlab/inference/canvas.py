"""A network's features of a whole picture: in memory while they are few, in a temporary file beyond that."""

from __future__ import annotations

import os
import tempfile
from typing import Any, BinaryIO

import torch
from torch import Tensor

IN_MEMORY = 96 * 2**20
"""Bytes: the largest canvas that is not put into a file."""


class Canvas:
    """Features `(H, W, C)` of a picture, written and read window by window.

    A file has no name (nothing is left behind by a kill) and is read and written by calls, not mapped: mapped
    pages would count as this process's memory. It lies where `TMPDIR` says.

    Args:
        height: rows.
        width: columns.
        channels: numbers at each place.
        dtype: of the numbers.
        in_memory: bytes up to which no file is used.
    """

    def __init__(
        self, height: int, width: int, channels: int, dtype: torch.dtype, *, in_memory: int = IN_MEMORY
    ) -> None:
        self.width, self.channels, self.dtype = width, channels, dtype
        self.cell = channels * dtype.itemsize  # bytes at a place
        self.file: BinaryIO | None = None
        self.values: Tensor | None = None
        if height * width * self.cell <= in_memory:
            self.values = torch.empty(height, width, channels, dtype=dtype)
        else:
            self.file = tempfile.TemporaryFile(prefix="toonlab-", buffering=0)  # noqa: SIM115 (see close)

    def write(self, rows: slice, columns: slice, features: Tensor) -> None:
        """Put `(1, C, h, w)` into its window.

        Raises:
            OSError: the disk is full.
        """
        placed = features[0].permute(1, 2, 0).to("cpu", self.dtype).contiguous()
        if self.values is not None:
            self.values[rows, columns] = placed
            return
        for row, line in zip(range(rows.start, rows.stop), _bytes(placed), strict=True):
            left, at = memoryview(line), (row * self.width + columns.start) * self.cell
            while left:
                done = os.pwrite(self._number(), left, at)
                left, at = left[done:], at + done

    def read(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """Return a window that was written, `(1, C, h, w)`, channels last in memory."""
        if self.values is not None:
            placed = self.values[rows, columns]
        else:
            shape = (rows.stop - rows.start, columns.stop - columns.start, self.channels)
            placed = torch.empty(shape, dtype=self.dtype)
            for row, line in zip(range(rows.start, rows.stop), _bytes(placed), strict=True):
                left, at = memoryview(line), (row * self.width + columns.start) * self.cell
                while left:
                    done = os.preadv(self._number(), [left], at)
                    if not done:
                        raise EOFError("a window of a canvas was read before it was written")
                    left, at = left[done:], at + done
        return placed.permute(2, 0, 1)[None].to(device)

    def close(self) -> None:
        """Give memory or disk back."""
        self.values = None
        if self.file is not None:
            self.file.close()

    def _number(self) -> int:
        if self.file is None:
            raise ValueError("the canvas is closed")
        return self.file.fileno()


def _bytes(placed: Tensor) -> Any:
    """Return the rows of a contiguous `(h, w, C)` as bytes that can be written to."""
    flat = placed.reshape(len(placed), -1).view(torch.uint8)
    return flat.numpy()
