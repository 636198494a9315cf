"""`kind=bundle`: a generator as a folder of safetensors and JSON, without pickle."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor, nn

from toonlab.app.export import DTYPES, node_of, origin, size, trunk_node
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.bundle import SAYS, WEIGHTS, write_bundle
from toonlab.engine.checkpoint import in_style, shown
from toonlab.engine.method import CHECKPOINT_FORMAT
from toonlab.errors import UsageError, check_choice
from toonlab.inference.sample_photos import sample_photos
from toonlab.inference.stylizer import Stylizer
from toonlab.networks.adapters import Adapted
from toonlab.networks.packs import stored

log = logging.getLogger(__name__)

TAKES = frozenset({"style", "packs", "dtype"})
MOST = 2.0
"""Levels of 255 by which rounded weights may move a picture."""


def export(cfg: DictConfig) -> None:
    """Write `cfg.ckpt` in `cfg.style` into the folder `cfg.output`, its weights as `cfg.dtype`.

    Raises:
        UsageError: there is no such style, the folder is there already, or rounding the weights shows.
    """
    check_choice("dtype", cfg.dtype, DTYPES)
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
    state = _stored(network, cfg.dtype, loaded.generator)
    write_bundle(folder, state, about)
    log.info(
        "%s: %s, %s; licence of the weights: %s\nPaint with it:\n"
        "  python src/stylize.py ckpt=%s input=PHOTOS output=PAINTED",
        folder,
        type(network).__name__,
        size(folder / WEIGHTS),
        came["licence"],
        folder,
    )


def _stored(network: nn.Module, dtype: str, painter: nn.Module) -> Mapping[str, Tensor]:
    """Return the weights as they are stored; half as many bytes are refused if one sees it."""
    state: Mapping[str, Tensor] = network.state_dict()
    if dtype == "float32":
        return state
    moved = copy.deepcopy(painter)
    try:
        moved.load_state_dict(stored(moved.state_dict(), DTYPES[dtype]))
        rounded = stored(state, DTYPES[dtype])
    except ValueError as error:
        raise UsageError(f"dtype={dtype}: {error}; use dtype=float32") from error
    apart = 127.5 * _apart(painter, moved)
    if apart > MOST:
        raise UsageError(
            f"dtype={dtype}: moves pictures by up to {apart:.1f} of 255 levels; use dtype=float32"
        )
    log.info("dtype=%s: moves scikit-image's photos by at most %.2g of 255 levels", dtype, apart)
    return rounded


def _apart(one: nn.Module, other: nn.Module) -> float:
    multiple = getattr(one, "multiple", 1)
    painters = [
        Stylizer(copy.deepcopy(each), multiple=multiple, output_filter=None, tile=None)
        for each in (one, other)
    ]
    pairs = ([painter.paint(photo[None]) for painter in painters] for photo in sample_photos())
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs)


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
