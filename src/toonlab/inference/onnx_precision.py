"""int8: convolutions in whole numbers, with ranges measured on photographs."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from toonlab.inference.optional import optional
from toonlab.inference.sample_photos import crops

SIDE = 192
"""Pixels of the crops that ranges are measured on: InstanceNorm's statistics need a piece of a picture."""


def to_int8(model: Any, photos: Sequence[Tensor]) -> Any:
    """Return `model` with static quantisation (QDQ) of its convolutions: weights per channel, int8.

    The first and the last one stay in float32: they read and write the picture itself. For the published
    White-box weights that is 43.8 dB instead of 32.3 from the float network's pictures, for 25 KB.

    Args:
        model: an `onnx.ModelProto` from `photo` to `cartoon`.
        photos: `(3, H, W)` each in [-1, 1]; each gives one crop to the ranges of activations.
    """
    quantization = optional("onnxruntime.quantization", extra="onnx", wanted_by="precision=int8")
    onnx = optional("onnx", extra="onnx", wanted_by="precision=int8")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.left = [piece for photo in photos for piece in pieces(photo)]

        def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
            return {"photo": self.left.pop().numpy()} if self.left else None

    convolutions = [n.name for n in model.graph.node if n.op_type in ("Conv", "ConvTranspose")]
    root = logging.getLogger()
    level = root.level
    with tempfile.TemporaryDirectory(prefix="toonlab-int8-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        root.setLevel(logging.ERROR)  # its advice to preprocess: shapes are dynamic
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                quantization.quantize_static(
                    str(source),
                    str(target),
                    Reader(),
                    quant_format=quantization.QuantFormat.QDQ,
                    op_types_to_quantize=["Conv", "ConvTranspose"],
                    per_channel=True,
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                    nodes_to_exclude=[convolutions[0], convolutions[-1]],
                )
        finally:
            root.setLevel(level)
        return onnx.load(str(target))


def pieces(photo: Tensor) -> list[Tensor]:
    """Return `(1, 3, h, w)` of a photo: its reduced middle, and four corners in full detail."""
    height, width = (min(SIDE, side) for side in photo.shape[-2:])
    rows, columns = (slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None))
    return [crops([photo], 1, height, width), *(photo[None, :, r, c] for r in rows for c in columns)]
