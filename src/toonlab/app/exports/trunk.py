"""`kind=trunk`: what all styles share, so that packs are of use without the run."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from toonlab.app.export import new_file, node_of, origin, size, styles_of
from toonlab.engine.checkpoint import write_imported
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

TAKES = frozenset({"domain"})


def export(cfg: DictConfig) -> None:
    """Write the trunk of `cfg.ckpt` as a checkpoint of no style, or of `cfg.domain` alone.

    Raises:
        UsageError: there is no such style, or the file is there already.
    """
    path = new_file(cfg, Path(cfg.output).expanduser(), ".ckpt")
    loaded, network = styles_of(cfg)
    try:
        network.keep([] if cfg.domain is None else [str(cfg.domain)])
    except ValueError as error:
        raise UsageError(f"domain={cfg.domain}: {error}") from error
    write_imported(
        path,
        network.state_dict(),
        painting=loaded.painting,
        config={"method": {"generator": node_of(network, loaded)}},
        origin=origin(cfg, loaded, "trunk"),
        iteration=loaded.iteration,
    )
    log.info(
        "%s: the trunk with sha256 %.12s, %s, with %s\nPaint with it:\n"
        "  python src/stylize.py ckpt=%s packs=PACKS style=NAME input=PHOTOS output=PAINTED",
        path,
        network.trunk_hash(),
        size(path),
        f"the style {cfg.domain}" if cfg.domain is not None else "no style",
        path,
    )
