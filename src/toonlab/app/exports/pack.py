"""`kind=pack`: styles as small files, without the trunk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab import __version__
from toonlab.app.export import DTYPES, new_file, origin, size, styles_of
from toonlab.app.setup import as_plain
from toonlab.errors import UsageError, check_choice, did_you_mean
from toonlab.networks.packs import write_pack

log = logging.getLogger(__name__)

TAKES = frozenset({"domain", "dtype"})


def export(cfg: DictConfig) -> None:
    """Write the styles `cfg.domain`: one into a file, several (or `all`) into a folder, `DOMAIN.safetensors`.

    Raises:
        UsageError: a style is not in the checkpoint, or a file is there already; nothing was written.
    """
    check_choice("dtype", cfg.dtype, DTYPES)
    loaded, network = styles_of(cfg)
    files = _files(cfg, network.domains)
    about = {
        **{key: value for key, value in origin(cfg, loaded, "pack").items() if key in ("sha256", "licence")},
        "origin": Path(cfg.ckpt).expanduser().resolve().name,
        "method": str(loaded.config.get("name", "not stated")),
        "iteration": str(loaded.iteration),
        "weights": "EMA" if cfg.average else "last",
        "toonlab": __version__,
    }
    for domain, path in files.items():
        try:
            write_pack(path, network, domain, dtype=DTYPES[cfg.dtype], about=about)
        except ValueError as error:
            raise UsageError(f"dtype={cfg.dtype}: {error}; use float32") from error
        parameters = sum(p.numel() for p in network.style(domain).parameters())
        log.info(
            "%s: %s, %s parameters (%.2f %% of the generator), %s in %s",
            path,
            domain,
            f"{parameters:,}",
            100 * network.share(domain),
            size(path),
            cfg.dtype,
        )
    log.info("for the trunk with sha256 %.12s; licence: %s", network.trunk_hash(), about["licence"])


def _files(cfg: DictConfig, held: list[str]) -> dict[str, Path]:
    """Return where each style goes, all of them free."""
    output = Path(cfg.output).expanduser()
    asked = as_plain(cfg.domain)
    if asked is None and len(held) == 1:
        asked = held[0]
    if not asked:
        raise UsageError(f"domain=NAME is required; the checkpoint holds {', '.join(held) or 'no style'}")
    wanted = held if asked == "all" else [str(name) for name in _listed(asked)]
    for domain in wanted:
        if domain not in held:
            raise UsageError(
                f"domain={domain}: not in the checkpoint{did_you_mean(domain, held)}; it holds "
                f"{', '.join(held) or 'no style'}"
            )
    if asked != "all" and not isinstance(asked, list):
        return {wanted[0]: new_file(cfg, output, ".safetensors")}
    if output.suffix == ".safetensors":
        raise UsageError(f"output={output}: several styles go into a folder; name one")
    return {name: new_file(cfg, output / f"{name}.safetensors", ".safetensors") for name in wanted}


def _listed(asked: Any) -> list[Any]:
    if isinstance(asked, dict):
        raise UsageError("domain=…: a pack is of one style; mix packs when they are used, with style={…}")
    return asked if isinstance(asked, list) else [asked]
