"""`kind=folded`: one style, or a mixture, as an ordinary checkpoint that needs no adapters."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from toonlab.app.export import new_file, node_of, origin, size, trunk_node
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.checkpoint import in_style, load_generator, shown, write_imported
from toonlab.errors import UsageError
from toonlab.networks.adapters import Adapted

log = logging.getLogger(__name__)

TAKES = frozenset({"domain", "style", "packs"})


def export(cfg: DictConfig) -> None:
    """Write the style `cfg.style` (or `cfg.domain`) of `cfg.ckpt` and `cfg.packs`.

    Series adapters cannot be folded: a norm of each picture lies between them and the trunk. Their checkpoint
    is of an adapted network that holds this style alone, and is used just so.

    Raises:
        UsageError: there is no such style, or the file is there already.
    """
    path = new_file(cfg, Path(cfg.output).expanduser(), ".ckpt")
    if cfg.style is not None and cfg.domain is not None:
        raise UsageError("domain=… and style=… are the same here: give one of them")
    whole = with_packs(cfg)
    network = whole.generator
    if not isinstance(network, Adapted):
        raise UsageError(
            f"ckpt={cfg.ckpt}: its {type(network).__name__} has no adapters to fold; it can be used as it is"
        )
    loaded = in_style(whole, chosen_style(cfg.domain if cfg.style is None else cfg.style))
    shares = loaded.style or {}
    node, state = trunk_node(whole), loaded.generator.state_dict()
    if network.kind == "series":
        tensors = network.mix(shares)
        network.keep([])
        network.install("-".join(shares), tensors)
        node, state = node_of(network, whole), network.state_dict()
    name = next(iter(shares)) if len(shares) == 1 else shown(shares)
    about = origin(cfg, whole, f"style {name}")
    write_imported(
        path,
        state,
        painting=whole.painting,
        config={"method": {"generator": node}},
        origin=about,
        iteration=whole.iteration,
    )
    generator = load_generator(path).generator
    log.info(
        "%s: %s as a %s with %s parameters, %s; licence of the weights: %s",
        path,
        name,
        type(generator).__name__,
        f"{sum(p.numel() for p in generator.parameters()):,}",
        size(path),
        about["licence"],
    )
