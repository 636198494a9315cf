"""One network of the page: its ONNX file, and what the page has to know of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from toonlab.errors import UsageError
from toonlab.inference.onnx_file import PREFIX, differences, read_about, write_onnx
from toonlab.inference.optional import optional
from toonlab.inference.sample_photos import sample_photos
from toonlab.inference.stylizer import OutputFilter

WEIGHTS = ("float16", "float32")
HALF_TOLERANCE = 0.25
"""The largest difference that rounded weights may make, on [-1, 1]; the mean may be a fiftieth of it."""
SMALLEST = 256
"""Numbers of an array that is worth rounding."""


class Style(NamedTuple):
    """What a visitor can choose: a name, and a generator with its output filter."""

    name: str
    generator: nn.Module
    output_filter: OutputFilter | None
    facts: Sequence[tuple[str, str]]
    """More to show about it, (word, value)."""


def write_network(style: Style, folder: Path, *, number: int, weights: str, tile: int) -> dict[str, Any]:
    """Write `networks/NUMBER_NAME.onnx` below `folder`; return its entry of `networks.json`.

    Raises:
        UsageError: it cannot be exported, paints otherwise than PyTorch, or `tile` is too small for it.
    """
    multiple = int(getattr(style.generator, "multiple", 1))
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in style.name).strip("-").lower()
    path = folder / "networks" / f"{number}_{plain or 'style'}.onnx"
    done = write_onnx(path, style.generator, multiple=multiple, output_filter=style.output_filter)
    error = done.max_error
    if weights == "float16":
        error = _halve(path, style, multiple)
    content = path.read_bytes()
    parameters = sum(p.numel() for p in style.generator.parameters())
    overlap = _overlap(read_about(path)["reach"], style.output_filter)
    if overlap is not None and tile <= 2 * overlap + multiple:
        raise UsageError(
            f"web.tile={tile}: {style.name} looks {overlap} pixels around; use web.tile={4 * overlap} or more"
        )
    return {
        "id": plain or f"style{number}",
        "name": style.name,
        "file": path.relative_to(folder).as_posix(),
        "bytes": len(content),
        "integrity": f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}",
        "multiple": multiple,
        "overlap": overlap,
        "filtered": style.output_filter is not None,
        "facts": [
            ["Network", type(style.generator).__name__],
            ["Parameters", f"{parameters:,}"],
            *([word, value] for word, value in style.facts),
            ["Download", f"{len(content) / 1e6:.1f} MB, weights in {weights}"],
            ["Checked", f"at most {error * 127.5:.1g} of 255 levels from PyTorch"],
        ],
    }


def _overlap(reach: str, output_filter: OutputFilter | None) -> int | None:
    """Return what neighbouring tiles must share on each side, in pixels; None where no tile is exact."""
    return int(reach) + 2 * (output_filter.radius if output_filter else 0) if reach.isdecimal() else None


def _halve(path: Path, style: Style, multiple: int) -> float:
    """Round the weights of a file to float16 and check it again; returns the largest difference from PyTorch.

    The network computes in float32 all the same: the runtime widens the weights when it loads them, and both
    of a browser's backends are as exact and as quick as before.
    """
    onnx = optional("onnx", extra="onnx", wanted_by="kind=web")
    model = onnx.load(str(path))
    half_weights(model)
    onnx.save(model, str(path))
    photos = sample_photos()
    found = differences(
        path, style.generator, multiple=multiple, output_filter=style.output_filter, photos=photos
    )
    largest, mean = (max(each[i] for each in found.values()) for i in (0, 1))
    if not (largest <= HALF_TOLERANCE and mean <= HALF_TOLERANCE / 50):
        path.unlink()
        raise UsageError(
            f"web.weights=float16: {style.name} differs from PyTorch by {largest:.2g} (mean {mean:.2g}) on "
            "[-1, 1] with rounded weights; use web.weights=float32"
        )
    _describe(model, {"weights": "float16", "max_error": f"{largest:.3g}", "mean_error": f"{mean:.3g}"})
    onnx.save(model, str(path))
    return largest


def half_weights(model: Any) -> None:
    """Store the large float32 arrays of an `onnx.ModelProto` as float16, each behind a Cast.

    Raises:
        UsageError: a weight does not fit into float16.
    """
    onnx = optional("onnx", extra="onnx", wanted_by="kind=web")
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        array, name = onnx.numpy_helper.to_array(tensor), tensor.name
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if not np.isfinite(half).all():
            raise UsageError(
                f"web.weights=float16: {name} holds weights beyond 65504; use web.weights=float32"
            )
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _describe(model: Any, more: Mapping[str, str]) -> None:
    onnx = optional("onnx", extra="onnx", wanted_by="kind=web")
    said = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, said | {PREFIX + key: value for key, value in more.items()})


def manifest(networks: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """Return `networks.json`."""
    return json.dumps({**about, "networks": list(networks)}, indent=1, ensure_ascii=False) + "\n"
