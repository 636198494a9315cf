"""A generator as a LiteRT file for Android: one picture size, checked against PyTorch.

The file maps float32 `(1, height, width, 3)` RGB in [-1, 1], as phones hold pictures, to the cartoon of the
same shape and range, clipped; White-box's output filter is in it. LiteRT compiles for fixed shapes, so the
size is settled at the export, and a program scales or cuts its pictures to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference.exportable import exportable
from toonlab.inference.optional import optional
from toonlab.inference.stylizer import OutputFilter, Stylizer

TOLERANCE, MEAN_TOLERANCE = 2e-3, 2e-4
"""The largest and the mean difference from PyTorch that are let through, on [-1, 1], as for ONNX in fp32."""


def write_tflite(
    path: Path,
    generator: nn.Module,
    *,
    size: tuple[int, int],
    multiple: int,
    output_filter: OutputFilter | None,
    photos: Sequence[Tensor],
    about: Mapping[str, str],
) -> tuple[float, float]:
    """Convert, check on photos, and write `path` and `path.json`, which says what it is: all or nothing.

    Args:
        path: where; its folder is made.
        generator: photo to cartoon, `(B, 3, H, W)` in [-1, 1]; left as it is.
        size: height and width of the pictures, pixels; multiples of `multiple`, at least four times that.
        multiple: what the generator's sides must divide by.
        output_filter: White-box's.
        photos: `(3, H, W)` each, for the check.
        about: more to say in `path.json`.

    Returns:
        the largest and the mean difference from PyTorch.

    Raises:
        UsageError: the size does not fit, a package is missing, the network cannot be converted, or the file
            paints otherwise than PyTorch; there is no file then.
    """
    if any(side % multiple or side < 4 * multiple for side in size):
        raise UsageError(
            f"tflite.size={list(size)}: height and width must be multiples of {multiple}, "
            f"at least {4 * multiple}"
        )
    converter = optional("litert_torch", extra="tflite", wanted_by="kind=tflite")
    runtime = optional("ai_edge_litert.interpreter", extra="tflite", wanted_by="kind=tflite")
    network = _Phone(exportable(generator), output_filter).eval()
    example = torch.zeros(1, *size, 3)
    try:
        model = converter.convert(network, (example,))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"kind=tflite: its converter does not understand this {type(generator).__name__}: {reason}"
        ) from error
    reference = Stylizer(
        exportable(generator), multiple=multiple, output_filter=output_filter, tile=None, device="cpu"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        model.export(str(part))
        largest, mean = _differences(runtime.Interpreter(model_path=str(part)), reference, size, photos)
        if not (largest <= TOLERANCE and mean <= MEAN_TOLERANCE):
            raise UsageError(
                f"output={path}: not written: the converted network differs from PyTorch by {largest:.2g} "
                f"(mean {mean:.2g}) on [-1, 1], more than {TOLERANCE:g} (mean {MEAN_TOLERANCE:g})"
            )
        said = {
            "input": f"RGB, float32, (1, {size[0]}, {size[1]}, 3), [-1, 1]",
            "output": "the cartoon, as the input",
            "max_error": f"{largest:.3g}",
            "mean_error": f"{mean:.3g}",
            **about,
        }
        part.replace(path)
        path.with_name(f"{path.name}.json").write_text(json.dumps(said, indent=2) + "\n")
    finally:
        part.unlink(missing_ok=True)
    return largest, mean


def _differences(
    interpreter: Any, reference: Stylizer, size: tuple[int, int], photos: Sequence[Tensor]
) -> tuple[float, float]:
    interpreter.allocate_tensors()
    given, painted = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    largest, means = 0.0, list[float]()
    for photo in photos:
        picture = F.interpolate(photo[None], size, mode="bilinear", antialias=True).clamp(-1, 1)
        interpreter.set_tensor(given, picture.permute(0, 2, 3, 1).contiguous().numpy())
        interpreter.invoke()
        ours = torch.from_numpy(interpreter.get_tensor(painted)).permute(0, 3, 1, 2)
        error = (ours - reference.paint(picture)).abs()
        largest = max(largest, float(error.max().nan_to_num(nan=float("inf"))))
        means.append(float(error.mean()))
    return largest, sum(means) / len(means)


class _Phone(nn.Module):
    """A generator with its filter, for `(1, H, W, 3)`, of operations that converters know."""

    def __init__(self, generator: nn.Module, output_filter: OutputFilter | None) -> None:
        super().__init__()
        self.generator, self.by = generator, output_filter

    def forward(self, picture: Tensor) -> Tensor:
        photo = picture.permute(0, 3, 1, 2)
        cartoon: Tensor = self.generator(photo)
        if self.by:
            cartoon = self._filtered(photo, cartoon, self.by)
        return cartoon.clamp(-1, 1).permute(0, 2, 3, 1)

    @staticmethod
    def _filtered(photo: Tensor, cartoon: Tensor, by: OutputFilter) -> Tensor:
        """He et al. 2013, equations 5, 6 and 8, each channel alone; windows are cut at the border."""

        def mean(x: Tensor) -> Tensor:
            return F.avg_pool2d(x, 2 * by.radius + 1, 1, by.radius, count_include_pad=False)

        around, toned = mean(photo), mean(cartoon)
        slope = (mean(photo * cartoon) - around * toned) / (mean(photo * photo) - around * around + by.eps)
        return mean(slope) * photo + mean(toned - slope * around)
