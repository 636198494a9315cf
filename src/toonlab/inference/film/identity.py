"""What a half-painted film was begun with, as hashes and words that can be compared."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from torch import nn

from toonlab.inference.stylizer import Stylizer

_PLAIN = (int, float, str, bool, type(None), tuple)


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_network(network: nn.Module) -> str:
    """Return a SHA-256 of a network's weights, of its modules' settings, and of files that it names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    for name, module in network.named_modules():
        digest.update(f"{name} {type(module).__qualname__}".encode())
        for key, value in sorted(vars(module).items()):
            if isinstance(value, Path) and value.is_file():
                digest.update(of_file(value).encode())
            elif isinstance(value, _PLAIN) and not key.startswith("_"):
                digest.update(f"{key}={value}".encode())
    return digest.hexdigest()


def of_stylizer(stylizer: Stylizer) -> dict[str, str]:
    """Return a stylizer's settings by name, its network as a hash; its device makes no difference."""
    settings = {"weights": of_network(stylizer.generator)}
    for key, value in sorted(vars(stylizer).items()):
        plain = isinstance(value, _PLAIN) or dataclasses.is_dataclass(value)
        if plain and not key.startswith("_"):
            settings[key] = repr(value)
    return settings
