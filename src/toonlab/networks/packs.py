"""Style packs: one style of an adapted network in a small file, for whoever has the trunk.

A pack is a safetensors file: the style's tensors under their names in the trunk, and as metadata what it is,
whose trunk it wants (a sha256 of its weights) and a digest of all of it. Reading one runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from toonlab.errors import UsageError
from toonlab.networks.adapters import Adapted, Kind, Where
from toonlab.networks.styles import digest

FORMAT, VERSION = "toonlab style pack", 1


class Pack(NamedTuple):
    """A style out of its file; `about` is the file's metadata."""

    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, str]

    @property
    def domain(self) -> str:
        return self.about["domain"]

    @property
    def trunk(self) -> str:
        """The sha256 of the trunk that it is for."""
        return self.about["trunk"]


def stored(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return tensors as a file holds them: the floating ones as `dtype`, all on the processor.

    Raises:
        ValueError: `dtype` cannot hold a number.
    """
    rounded = {
        name: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in tensors.items()
    }
    for name, value in rounded.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} holds numbers that it cannot")
    return rounded


def write_pack(
    path: Path,
    network: Adapted,
    domain: str,
    *,
    dtype: torch.dtype = torch.float32,
    about: Mapping[str, str],
) -> None:
    """Write one style of `network`, whole or not at all.

    Args:
        path: where; its folder is made.
        network: holds the style.
        domain: which.
        dtype: what floating tensors are stored as.
        about: more to say in the metadata.

    Raises:
        ValueError: `network` has no such style, or `dtype` cannot hold its numbers.
    """
    style = network.style(domain)
    try:
        tensors = stored(style.tensors(), dtype)
    except ValueError as error:
        raise ValueError(f"{domain}: {error}") from error
    metadata = {
        **about,
        "format": FORMAT,
        "version": str(VERSION),
        "domain": domain,
        "trunk": network.trunk_hash(),
        "network": type(network.trunk).__name__,
        "kind": network.kind,
        "where": network.where,
        "own": json.dumps(network.own),
        "rank": str(network.rank),
        "parameters": str(sum(p.numel() for p in style.parameters())),
        "dtype": str(dtype).removeprefix("torch."),
    }
    metadata["digest"] = _digest(tensors, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(save(tensors, metadata))  # not `save_file`, which hides it from other users
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_pack(path: Path) -> Pack:
    """Read a pack, its tensors in fp32.

    Raises:
        UsageError: there is no such file, it is no pack, or not as it was written.
    """
    if not path.is_file():
        raise UsageError(f"packs={path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"packs={path}: not a safetensors file, or a damaged one; get it again") from error
    if about.get("format") != FORMAT:
        raise UsageError(f"packs={path}: not a style pack; src/export.py kind=pack writes them")
    if not about.get("version", "").isdecimal() or int(about["version"]) > VERSION:
        raise UsageError(f"packs={path}: written by a newer toonlab; update toonlab")
    if about.get("digest") != _digest(tensors, about):
        raise UsageError(f"packs={path}: was changed after it was written (its digest differs); get it again")
    return Pack(path, {n: v.float() if v.is_floating_point() else v for n, v in tensors.items()}, about)


def add_packs(network: Adapted, packs: Mapping[str, Pack]) -> None:
    """Give `network` the styles of packs, under the names that `packs` gives them.

    Raises:
        UsageError: a pack is for another trunk, does not fit, or its name is that of another style.
    """
    trunk = network.trunk_hash()
    for name, pack in packs.items():
        if pack.trunk != trunk:
            raise UsageError(
                f"packs={pack.path}: {name} is for a trunk with sha256 {pack.trunk:.12}, and this "
                f"checkpoint's has {trunk:.12}; give ckpt=… the one that the pack was exported from, or its "
                "trunk file (src/export.py kind=trunk); average=false has another trunk than true"
            )
        if name in network.domains:
            if _equal(network.style(name).tensors(), pack.tensors):
                continue
            raise UsageError(
                f"packs={pack.path}: the checkpoint has another style that is called {name} too; "
                f"give the pack's another name, 'packs={{{name}2: {pack.path}}}'"
            )
        try:
            network.install(name, pack.tensors)
        except ValueError as error:
            raise UsageError(f"packs={pack.path}: {error}") from error


def trunk_for(plain: nn.Module, pack: Pack) -> Adapted:
    """Make a plain network the trunk that `pack` was made on; what it paints itself is the style `base`.

    Raises:
        UsageError: it has no place for such adapters.
    """
    try:
        return Adapted(
            trunk=plain,
            domains=["base"],
            kind=cast("Kind", pack.about["kind"]),
            where=cast("Where", pack.about["where"]),
            rank=int(pack.about["rank"]),
            own=json.loads(pack.about["own"]),
        )
    except ValueError as error:
        raise UsageError(
            f"packs={pack.path}: made for a {pack.about['network']} ({error}); give ckpt=… the checkpoint "
            "that it was exported from"
        ) from error


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    said = {key: value for key, value in about.items() if key != "digest"}
    return digest(tensors, json.dumps(said, sort_keys=True))


def _equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
