"""`kind=bundle`: a generator as a folder of safetensors and JSON, without pickle."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from toonlab.app.export import node_of, origin, size, trunk_node
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.bundle import SAYS, WEIGHTS, write_bundle
from toonlab.engine.checkpoint import in_style, shown
from toonlab.engine.method import CHECKPOINT_FORMAT
from toonlab.errors import UsageError
from toonlab.networks.adapters import Adapted

log = logging.getLogger(__name__)

TAKES = frozenset({"style", "packs"})


def export(cfg: DictConfig) -> None:
    """Write `cfg.ckpt` in `cfg.style` into the folder `cfg.output`.

    Raises:
        UsageError: there is no such style, or the folder is there already.
    """
    folder = Path(cfg.output).expanduser()
    _check_free(folder, overwrite=cfg.overwrite)
    whole = with_packs(cfg)
    loaded = in_style(whole, chosen_style(cfg.style))
    node, network = loaded.config["method"]["generator"], loaded.generator
    if loaded.style:
        node = trunk_node(whole)
        if isinstance(whole.generator, Adapted) and whole.generator.kind == "series":
            # Cannot be folded into the trunk: an adapted network that holds this style alone.
            network, tensors = whole.generator, whole.generator.mix(loaded.style)
            network.keep([])
            network.install("-".join(loaded.style), tensors)
            node = node_of(network, whole)
    came = origin(cfg, whole, f"style {shown(loaded.style)}" if loaded.style else "bundle")
    about = {
        "format": CHECKPOINT_FORMAT,
        "iteration": loaded.iteration,
        "scores": {},
        "scored_at": 0,
        "painting": loaded.painting,
        "config": {"method": {"generator": node}},
        "origin": came,
    }
    write_bundle(folder, network.state_dict(), about)
    log.info(
        "%s: %s, %s; licence of the weights: %s\nPaint with it:\n"
        "  python src/stylize.py ckpt=%s input=PHOTOS output=PAINTED",
        folder,
        type(network).__name__,
        size(folder / WEIGHTS),
        came["licence"],
        folder,
    )


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if folder.suffix in (".safetensors", ".json", ".ckpt", ".onnx") or folder.is_file():
        raise UsageError(f"output={folder}: kind=bundle writes a folder; name one")
    if any(parent.is_file() for parent in folder.parents):
        raise UsageError(f"output={folder}: lies in a file; name another place")
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir()} - {SAYS, WEIGHTS})
    if others:
        raise UsageError(f"output={folder}: holds {others[0]}, which is no bundle's; name a new folder")
    if any(folder.iterdir()) and not overwrite:
        raise UsageError(f"output={folder}: is there already; name another folder, or say overwrite=true")
