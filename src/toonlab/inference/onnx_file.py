"""A generator as an ONNX file: any picture size, checked against PyTorch, and saying so of itself.

The file maps `photo`, `(batch, 3, height, width)` RGB in [-1, 1], to `cartoon`, the same shape and range,
clipped. It pads and crops by itself, so every size from 1x1 is fine, and it holds the output filter; with one
there are two more outputs for `strength`, `raw`, before filter and clip, and `filtered`, before the clip:
`raw + strength * (filtered - raw)`, clipped. `cartoon` is that at strength 1.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toonlab import __version__
from toonlab.errors import UsageError, check_choice
from toonlab.inference import onnx_precision, tiling
from toonlab.inference.exportable import exportable
from toonlab.inference.onnx_graph import with_padding_and_filter
from toonlab.inference.optional import optional
from toonlab.inference.sample_photos import crops, sample_photos
from toonlab.inference.stylizer import OutputFilter, Stylizer

FORMAT = 1
PREFIX = "toonlab."
SIZES = ((2, 96, 136), (1, 67, 101), (1, 5, 34))
"""(batch, height, width) of the check; none is the traced one, two are odd, one is below the least."""
TOLERANCE = {"fp32": 2e-3, "fp16": 0.25, "int8": 2.0}
"""The largest difference from PyTorch that is let through, on [-1, 1], where 0.0078 is a level of 8 bits."""
MEAN_TOLERANCE = {"fp32": 2e-4, "fp16": 8e-3, "int8": 2.0}
"""The same for the mean difference. int8 is judged by its PSNR instead."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how far it is from PyTorch on [-1, 1]."""

    path: Path
    precision: str
    max_error: float
    mean_error: float
    sizes: Sequence[tuple[int, int, int]]
    about: Mapping[str, str]


def write_onnx(
    path: Path,
    generator: nn.Module,
    *,
    multiple: int | None = None,
    output_filter: OutputFilter | None = None,
    precision: str = "fp32",
    photos: Sequence[Tensor] | None = None,
    about: Mapping[str, str] | None = None,
    judge: Callable[[Path], Mapping[str, str]] | None = None,
) -> Exported:
    """Export, check on three sizes, and write: all of it or nothing.

    Args:
        path: where; its folder is made. What is there is replaced once the new file has passed.
        generator: photo to cartoon, `(B, 3, H, W)` in [-1, 1]; left as it is.
        multiple: what H and W must divide by for the generator; None asks the generator.
        output_filter: White-box's, which the file applies.
        precision: `fp32`; `fp16` (input and output stay float32, norms too); `int8`, convolutions with
            ranges from `photos`.
        photos: `(3, H, W)` each, for the check and int8's ranges; None takes scikit-image's.
        about: more to say in the metadata, under `toonlab.<key>`.
        judge: looks at the checked file before it gets its name; raises UsageError to refuse it, or returns
            more metadata.

    Raises:
        UsageError: a package is missing, the network cannot be exported, or the file paints otherwise than
            PyTorch; there is no file then.
    """
    check_choice("precision", precision, TOLERANCE)
    onnx = optional("onnx", extra="onnx", wanted_by="kind=onnx")
    optional("onnxscript", extra="onnx", wanted_by="kind=onnx")
    multiple = getattr(generator, "multiple", 1) if multiple is None else multiple
    photos = sample_photos() if photos is None else list(photos)
    core = trace(generator, multiple, half=precision == "fp16")
    model = with_padding_and_filter(
        core, multiple=multiple, output_filter=output_filter, half=precision == "fp16"
    )
    if precision == "int8":
        model = onnx_precision.to_int8(model, photos)
    said = {
        "format": str(FORMAT),
        "version": __version__,
        "generator": type(generator).__name__,
        "precision": precision,
        "input": "photo: RGB, float32, (batch, 3, height, width), [-1, 1], any size",
        "output": "cartoon: as the input, clipped"
        + ("; raw: before filter and clip; filtered: before the clip" * bool(output_filter)),
        "range": "[-1, 1]",
        "multiple": str(multiple),
        "output_filter": json.dumps(dataclasses.asdict(output_filter)) if output_filter else "none",
        "reach": str(_reach(generator, multiple)),
        **(about or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        onnx.save(model, part)
        errors = differences(part, generator, multiple=multiple, output_filter=output_filter, photos=photos)
        largest, mean = (max(e[i] for e in errors.values()) for i in (0, 1))
        if not (largest <= TOLERANCE[precision] and mean <= MEAN_TOLERANCE[precision]):
            raise UsageError(
                f"output={path}: not written: the exported network differs from PyTorch by {largest:.2g} "
                f"(mean {mean:.2g}) on [-1, 1], more than {TOLERANCE[precision]:g} "
                f"(mean {MEAN_TOLERANCE[precision]:g}) at precision={precision}"
            )
        said |= {
            "checked": json.dumps([list(size) for size in errors]),
            "max_error": f"{largest:.3g}",
            "mean_error": f"{mean:.3g}",
            "tolerance": f"max {TOLERANCE[precision]:g}, mean {MEAN_TOLERANCE[precision]:g}",
        }
        if judge:
            said |= judge(part)
        onnx.helper.set_model_props(model, {PREFIX + key: value for key, value in said.items()})
        onnx.checker.check_model(model)
        onnx.save(model, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Exported(
        path=path, precision=precision, max_error=largest, mean_error=mean, sizes=list(errors), about=said
    )


def trace(generator: nn.Module, multiple: int, *, half: bool = False) -> Any:
    """Return the generator alone as an `onnx.ModelProto`, `padded` to `painted`, of dynamic sizes.

    Raises:
        UsageError: the exporter does not understand the network.
    """
    network = exportable(generator, half=half)
    sides = [multiple * torch.export.Dim(name, min=4) for name in ("rows", "columns")]
    example = torch.zeros(2, 3, 16 * multiple, 24 * multiple, dtype=torch.half if half else torch.float)
    try:
        with _quietly():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1), 2: sides[0], 3: sides[1]},),
                input_names=["padded"],
                output_names=["painted"],
                verbose=False,
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"kind=onnx: torch's exporter does not understand this {type(generator).__name__}: {reason}"
        ) from error
    return program.model_proto  # type: ignore[union-attr]


def differences(
    path: Path,
    generator: nn.Module,
    *,
    multiple: int,
    output_filter: OutputFilter | None,
    photos: Sequence[Tensor],
    sizes: Sequence[tuple[int, int, int]] = SIZES,
) -> dict[tuple[int, int, int], tuple[float, float]]:
    """Return for each size the maximum and the mean difference from what `Stylizer` paints with PyTorch."""
    reference = Stylizer(
        copy.deepcopy(generator), multiple=multiple, output_filter=output_filter, tile=None, device="cpu"
    )
    session = session_of(path, wanted_by="kind=onnx")
    found = {}
    for size in sizes:
        given = crops(list(photos), *size)
        ours = torch.from_numpy(session.run(["cartoon"], {"photo": given.numpy()})[0])
        wanted = reference.paint(given)
        if ours.shape != wanted.shape or not ours.isfinite().all():
            found[size] = (float("inf"), float("inf"))
            continue
        error = (ours - wanted).abs()
        found[size] = (float(error.max()), float(error.mean()))
    return found


def session_of(model: Path | bytes, *, wanted_by: str) -> Any:
    """Return ONNX Runtime's session of a file or its bytes, on the processor with torch's number of threads.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    ort = optional("onnxruntime", extra="onnx", wanted_by=wanted_by)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # see app.cli: waiting threads
    content = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read_about(path: Path) -> dict[str, str]:
    """Return what an ONNX file of ours says of itself, without the prefix.

    Raises:
        UsageError: it is no ONNX file, or none of ours.
    """
    onnx = optional("onnx", extra="onnx", wanted_by=f"ckpt={path}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise UsageError(f"ckpt={path}: not an ONNX file, or a damaged one") from error
    about = {p.key.removeprefix(PREFIX): p.value for p in model.metadata_props if p.key.startswith(PREFIX)}
    if not about.get("format", "").isdecimal():
        raise UsageError(
            f"ckpt={path}: an ONNX file, but none of toonlab's; src/export.py kind=onnx writes those"
        )
    if int(about["format"]) > FORMAT:
        raise UsageError(f"ckpt={path}: written by a newer toonlab ({about.get('version')}); update toonlab")
    return about


def _reach(generator: nn.Module, multiple: int) -> int | str:
    """Return how far the network looks, in pixels, or `picture` where tiles would not be exact."""
    network = copy.deepcopy(generator).cpu().eval()
    with tiling.fixed_statistics(network) as has_norms:
        if has_norms:
            return "picture"
    try:
        return tiling.reach(network, multiple, torch.device("cpu"))
    except UsageError:
        return "picture"


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's advice to itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
