"""An ONNX file of ours as a network that `Stylizer` paints with, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toonlab.errors import UsageError, check_choice
from toonlab.inference.onnx_file import read_about, session_of
from toonlab.inference.optional import optional
from toonlab.inference.stylizer import OutputFilter

Run = Callable[[Tensor], Tensor]
KEPT = 4
"""Sizes for which OpenVINO keeps a compiled network."""


class OnnxNetwork(nn.Module):
    """Photo to cartoon, `(B, 3, H, W)` to the same shape, on the processor with torch's number of threads.

    Gives the network's own output, `raw`, where the file has an output filter: `Stylizer` filters, with its
    `strength`.

    Args:
        path: of a file that `write_onnx` wrote.
        runtime: `onnxruntime`, `openvino`, or `auto`: the first of them that is installed.

    Raises:
        UsageError: the file is none of ours, or the runtime is not installed.
    """

    def __init__(self, path: Path, runtime: str = "auto") -> None:
        super().__init__()
        check_choice("runtime", runtime, ["auto", *RUNTIMES])
        if not path.is_file():
            raise UsageError(f"ckpt={path}: no such file")
        self.path, self.about = path, read_about(path)
        self.multiple = int(self.about["multiple"])
        self.runtime = _installed(path) if runtime == "auto" else runtime
        self._run: Run = RUNTIMES[self.runtime](path, "cartoon" if self.output_filter is None else "raw")

    @property
    def output_filter(self) -> OutputFilter | None:
        """White-box's filter, if the file has one."""
        said = self.about["output_filter"]
        return None if said == "none" else OutputFilter(**json.loads(said))

    @property
    def reach(self) -> int:
        """How many pixels away an output still depends on the input.

        Raises:
            UsageError: on the whole picture.
        """
        if not self.about["reach"].isdecimal():
            raise UsageError(
                f"{self.path}: this {self.about['generator']}'s norms look at the whole picture, which an "
                "ONNX file cannot do in tiles: set tile=null, or paint with the checkpoint it is of"
            )
        return int(self.about["reach"])

    def forward(self, photos: Tensor) -> Tensor:
        """Map `(B, 3, H, W)` to the same shape, on the photos' device."""
        return self._run(photos.detach().float().cpu().contiguous()).to(photos.device)


def _onnxruntime(path: Path, output: str) -> Run:
    onnx = optional("onnx", extra="onnx", wanted_by="runtime=onnxruntime")
    model = onnx.load(str(path))
    for other in [o for o in model.graph.output if o.name != output]:
        model.graph.output.remove(other)  # and with it what computes it, once the runtime has looked
    content = model.SerializeToString()
    session = _loaded(path, lambda: session_of(content, wanted_by="runtime=onnxruntime"))
    return lambda photos: torch.from_numpy(session.run([output], {"photo": photos.numpy()})[0])


def _openvino(path: Path, output: str) -> Run:
    openvino = optional("openvino", extra="openvino", wanted_by="runtime=openvino")
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Else it takes bf16 where the processor has it, and the picture differs from PyTorch's.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def compile_for(shape: tuple[int, ...]) -> Any:
        # For one size: a third faster than with dynamic sides, and a second to compile.
        whole = core.read_model(str(path))
        model = openvino.Model([whole.output(output)], whole.get_parameters(), "toonlab")
        model.reshape({"photo": list(shape)})
        return core.compile_model(model, "CPU", settings)

    _loaded(path, lambda: core.read_model(str(path)))

    def run(photos: Tensor) -> Tensor:
        shape = tuple(photos.shape)
        if shape not in compiled:
            compiled[shape] = compile_for(shape)
            while len(compiled) > KEPT:
                compiled.popitem(last=False)
        compiled.move_to_end(shape)
        # A copy: the runtime writes its next result into the same memory.
        return torch.from_numpy(compiled[shape]([photos.numpy()])[0].copy())

    return run


RUNTIMES: dict[str, Callable[[Path, str], Run]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}


def _installed(path: Path) -> str:
    for name in RUNTIMES:
        try:
            optional(name, extra="onnx", wanted_by=f"ckpt={path}")
        except UsageError:
            continue
        return name
    raise UsageError(
        f"ckpt={path}: needs ONNX Runtime or OpenVINO, and neither is installed; pip install -e '.[onnx]', "
        "or '.[openvino]'"
    )


def _loaded(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UsageError:
        raise
    except Exception as error:  # each runtime has classes of its own
        raise UsageError(f"ckpt={path}: cannot be run ({type(error).__name__}); is it damaged?") from error
