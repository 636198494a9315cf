"""Bundles: a generator as a folder of safetensors and JSON, for any program; no pickle.

`model.safetensors` has the weights by their names in the network, `toonlab.json` the rest of what a
checkpoint says: which network, how it paints, where it came from, and two sha256: of the weights' file, and
of all that is said. They tell of damage and of careless edits; whoever edits with care can renew them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from toonlab.engine.whole import whole_folder
from toonlab.errors import UsageError

SAYS, WEIGHTS = "toonlab.json", "model.safetensors"
KIND, VERSION = "toonlab bundle", 1


def write_bundle(folder: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a bundle, whole or not at all.

    Args:
        folder: takes the place of a bundle that is there already.
        state: the generator's state dict.
        about: as a checkpoint's `toonlab`.
    """
    content = save({name: value.detach().cpu().contiguous().clone() for name, value in state.items()})
    said: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(content).hexdigest()},
        "toonlab": dict(about),
    }
    said["sha256"] = _digest(said)
    with whole_folder(folder) as part:
        (part / WEIGHTS).write_bytes(content)
        (part / SAYS).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_bundle(path: Path) -> dict[str, Any]:
    """Read the bundle whose `toonlab.json` is at `path`, as what a checkpoint's file holds.

    Raises:
        UsageError: a file is missing, damaged, or not as it was written.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        known = said["kind"] == KIND and isinstance(said["version"], int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"ckpt={path}: not a bundle's, or damaged; get it again") from error
    if not known or said["version"] > VERSION:
        raise UsageError(f"ckpt={path}: not a bundle, or one of a newer toonlab; update toonlab")
    if said.get("sha256") != _digest(said):
        raise UsageError(f"ckpt={path}: was changed after it was written (its sha256 differs); get it again")
    weights = path.with_name(WEIGHTS)
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise UsageError(
            f"ckpt={weights}: cannot be read ({error.strerror}); a bundle is both files"
        ) from error
    if hashlib.sha256(content).hexdigest() != said["weights"]["sha256"]:
        raise UsageError(f"ckpt={weights}: not the file that {path.name} describes (its sha256 differs)")
    try:
        state = load(content)
    except SafetensorError as error:
        raise UsageError(f"ckpt={weights}: not a safetensors file") from error
    return {"state_dict": {f"generator.{n}": value for n, value in state.items()}, "toonlab": said["toonlab"]}


def _digest(said: Mapping[str, Any]) -> str:
    told = {key: value for key, value in said.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
