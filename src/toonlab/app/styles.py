"""`style=` and `packs=`: which of a checkpoint's styles, and more of them out of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab.app.setup import as_plain
from toonlab.engine.checkpoint import Loaded, read, rebuild
from toonlab.errors import UsageError
from toonlab.networks.adapters import Adapted
from toonlab.networks.packs import Pack, add_packs, read_pack, trunk_for


def with_packs(cfg: DictConfig, checkpoint: Mapping[str, Any] | None = None) -> Loaded:
    """Load `cfg.ckpt` with all its styles and those of `cfg.packs`.

    A generator without adapters is the trunk if packs are given, and what it paints itself the style `base`.

    Args:
        cfg: says which.
        checkpoint: what `cfg.ckpt` holds, if it has been read already.

    Raises:
        UsageError: the checkpoint is none of ours, or a pack does not fit it.
    """
    path = Path(cfg.ckpt).expanduser()
    loaded = rebuild(checkpoint or read(path), path, average=cfg.average, reverse=cfg.get("reverse", False))
    packs = read_packs(cfg.packs)
    if not packs:
        return loaded
    network = loaded.generator
    if not isinstance(network, Adapted):
        network = trunk_for(network, next(iter(packs.values())))
    add_packs(network, packs)
    return loaded._replace(generator=network.eval().requires_grad_(False))


def read_packs(given: Any) -> dict[str, Pack]:
    """Read a file, a folder of them, a list of files, or files by the names that their styles are to have.

    Raises:
        UsageError: a file cannot be used, a folder holds none, or two styles have one name.
    """
    given = as_plain(given)
    if given is None:
        return {}
    if isinstance(given, dict):
        return {str(name): read_pack(_path(file)) for name, file in given.items()}
    files = [_path(file) for file in (given if isinstance(given, list) else [given])]
    if not isinstance(given, list) and files[0].is_dir():
        (folder,) = files
        files = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
        if not files:
            raise UsageError(f"packs={folder}: no .safetensors file in this folder")
    packs: dict[str, Pack] = {}
    for pack in map(read_pack, files):
        if other := packs.get(pack.domain):
            raise UsageError(
                f"packs=…: {other.path} and {pack.path} both hold a style called {pack.domain}; name them, "
                f"'packs={{{pack.domain}: {other.path}, {pack.domain}2: {pack.path}}}'"
            )
        packs[pack.domain] = pack
    return packs


def chosen_style(given: Any) -> str | Mapping[str, float] | None:
    """Return `style=` as a name or as shares.

    Raises:
        UsageError: it is neither.
    """
    given = as_plain(given)
    if given is None or isinstance(given, dict):
        return given if given is None else {str(name): share for name, share in given.items()}
    if isinstance(given, list):
        raise UsageError(f"style={given}: one name, or shares of several, 'style={{NAME: 0.7, OTHER: 0.3}}'")
    return str(given)


def _path(given: Any) -> Path:
    return Path(str(given)).expanduser()
