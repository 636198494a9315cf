"""`src/export.py`: what a checkpoint learnt, for use elsewhere."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from toonlab.app import exports
from toonlab.app.setup import quiet
from toonlab.digests import file_sha256
from toonlab.engine.checkpoint import Loaded, load_network, locate
from toonlab.errors import UsageError, check_choice
from toonlab.networks.adapters import Adapted

KINDS = sorted(module.name for module in pkgutil.iter_modules(exports.__path__))
SOME = {
    "domain": None,
    "style": None,
    "packs": None,
    "ort": None,
    "dtype": "float32",
    "precision": "fp32",
    "photos": None,
    "least_psnr": 30,
}
"""Settings that not every kind takes, and their defaults."""
DTYPES = {"float32": torch.float32, "float16": torch.float16}
"""What weights may be stored as, by `dtype`."""


def run(cfg: DictConfig) -> None:
    """Write `cfg.kind` of `cfg.ckpt` to `cfg.output`.

    Raises:
        UsageError: there is no such kind, or it cannot be written as asked; nothing was.
    """
    quiet()
    check_choice("kind", cfg.kind, KINDS)
    kind = import_module(f"{exports.__name__}.{cfg.kind}")
    for key, default in SOME.items():
        if cfg[key] != default and key not in kind.TAKES:
            raise UsageError(
                f"{key}=…: kind={cfg.kind} takes {', '.join(sorted(kind.TAKES))} instead; leave it out"
            )
    try:
        kind.export(cfg)
    except OSError as error:
        raise UsageError(
            f"output={cfg.output}: cannot be written ({error.strerror or error}); name another"
        ) from error


def new_file(cfg: DictConfig, path: Path, suffix: str) -> Path:
    """Return `path` if it may be written.

    Raises:
        UsageError: it has another suffix, is there already, is the checkpoint, or lies in a file.
    """
    if path.suffix != suffix or path.is_dir():
        raise UsageError(f"output={path}: kind={cfg.kind} writes a file; name one that ends in {suffix}")
    if path.exists() and path.samefile(locate(Path(cfg.ckpt).expanduser())):
        raise UsageError(f"output={path}: is the checkpoint itself; name another file")
    if path.exists() and not cfg.overwrite:
        raise UsageError(f"output={path}: is there already; name another file, or say overwrite=true")
    if any(parent.is_file() for parent in path.parents):
        raise UsageError(f"output={path}: lies in a file; name another place")
    return path


def styles_of(cfg: DictConfig) -> tuple[Loaded, Adapted]:
    """Load `cfg.ckpt` with all its styles.

    Raises:
        UsageError: it is no checkpoint, or none with adapters.
    """
    loaded = load_network(Path(cfg.ckpt).expanduser(), average=cfg.average)
    if not isinstance(loaded.generator, Adapted):
        raise UsageError(
            f"ckpt={cfg.ckpt}: kind={cfg.kind} wants a network with adapters, this one's is a "
            f"{type(loaded.generator).__name__}; train one with method=adapted_cartoongan"
        )
    return loaded, loaded.generator


def node_of(network: Adapted, loaded: Loaded) -> dict[str, Any]:
    """Describe `network` for a checkpoint's config."""
    return {
        "_target_": f"{Adapted.__module__}.{Adapted.__qualname__}",
        "trunk": trunk_node(loaded),
        "domains": network.domains,
        "kind": network.kind,
        "where": network.where,
        "rank": network.rank,
        "own": list(network.own),
    }


def trunk_node(loaded: Loaded) -> dict[str, Any]:
    """Describe the network of a checkpoint without its adapters."""
    node: dict[str, Any] = loaded.config["method"]["generator"]
    return node["trunk"] if node["_target_"].endswith(f".{Adapted.__qualname__}") else node


def origin(cfg: DictConfig, loaded: Loaded, kind: str) -> dict[str, str]:
    """Say where exported weights come from."""
    path = Path(cfg.ckpt).expanduser()
    known = loaded.origin or {}
    return {
        "file": path.resolve().name,
        "sha256": file_sha256(locate(path)),
        "kind": kind,
        "channels": "rgb",
        "licence": str(cfg.licence or known.get("licence", "not stated")),
    }


def size(path: Path) -> str:
    """Return a file's size as 4.2 MB."""
    return f"{path.stat().st_size / 1e6:.2f} MB"
