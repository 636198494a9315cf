"""`ckpt=FILE.onnx` and `runtime=`: paint through ONNX Runtime or OpenVINO instead of PyTorch."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab import __version__
from toonlab.app.setup import device_named
from toonlab.engine.checkpoint import Loaded
from toonlab.errors import UsageError, check_choice
from toonlab.inference.convolutions import can_be_quicker, quicker
from toonlab.inference.onnx_file import FORMAT, write_onnx
from toonlab.inference.runtimes import RUNTIMES, OnnxNetwork
from toonlab.inference.stylizer import OutputFilter
from toonlab.networks.styles import digest

log = logging.getLogger(__name__)

IN_TORCH = ("torch", "winograd")


def is_onnx(cfg: DictConfig) -> bool:
    """Say whether `cfg.ckpt` names an ONNX file."""
    return "method" not in cfg and str(cfg.ckpt).lower().endswith(".onnx")


def onnx_painter(cfg: DictConfig) -> Loaded:
    """Load the ONNX file `cfg.ckpt`; its metadata say how it paints.

    Raises:
        UsageError: it cannot be used as asked.
    """
    if cfg.style is not None or cfg.packs is not None or cfg.reverse or not cfg.average:
        raise UsageError(
            f"ckpt={cfg.ckpt}: an ONNX file paints in one way; give style, packs, reverse and average to "
            "src/export.py, and leave them out here"
        )
    if _runtime(cfg) in IN_TORCH:
        raise UsageError(
            f"runtime={cfg.runtime}: cannot run ckpt={cfg.ckpt}; use auto, {' or '.join(RUNTIMES)}"
        )
    network = OnnxNetwork(Path(cfg.ckpt).expanduser(), _runtime(cfg))
    about = network.about
    painting = json.loads(about.get("painting", "{}"))
    if network.output_filter:
        painting["output_filter"] = json.loads(about["output_filter"])
    came: dict[str, Any] = json.loads(about.get("origin", "{}"))
    origin = None
    if came:
        origin = {
            "file": came["file"],
            "sha256": came["sha256"],
            "kind": f"ONNX, {about['precision']}, run by {network.runtime}",
            "channels": "rgb",
            "licence": about.get("licence", "not stated"),
        }
    return Loaded(network, painting, {"method": {}}, int(about.get("iteration", 0)), origin)


def with_runtime(cfg: DictConfig, loaded: Loaded) -> Loaded:
    """Let `cfg.runtime` run a checkpoint's network; an exported file is kept in `cfg.cache_dir`.

    Raises:
        UsageError: it is not installed, or the network cannot be exported.
    """
    runtime = _runtime(cfg)
    if runtime == "torch" or isinstance(loaded.generator, OnnxNetwork):
        return loaded
    if runtime == "auto":
        if device_named(cfg.device).type != "cpu" or cfg.get("precision", "fp32") != "fp32":
            return loaded
        return loaded._replace(generator=quicker(loaded.generator))
    if runtime == "winograd":
        if not can_be_quicker():
            raise UsageError("runtime=winograd: this PyTorch was built without NNPACK; use runtime=torch")
        return loaded._replace(generator=quicker(loaded.generator))
    output_filter = OutputFilter.of(loaded.painting)
    said = f"{FORMAT} {__version__} {loaded.generator} {output_filter}"
    sha256 = digest(loaded.generator.state_dict(), said)
    path = Path(cfg.cache_dir).expanduser() / "onnx" / f"{sha256[:24]}.onnx"
    if not path.is_file():
        log.info("runtime=%s: exporting the network once, to %s", runtime, path)
        write_onnx(path, loaded.generator, output_filter=output_filter)
    return loaded._replace(generator=OnnxNetwork(path, runtime))


def _runtime(cfg: DictConfig) -> str:
    check_choice("runtime", cfg.runtime, ["auto", *IN_TORCH, *RUNTIMES])
    if cfg.runtime in ("winograd", *RUNTIMES) and cfg.device not in ("auto", "cpu"):
        raise UsageError(f"runtime={cfg.runtime}: paints on the processor; leave device={cfg.device} out")
    return str(cfg.runtime)
