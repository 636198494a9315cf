"""What a half-painted film was begun with, as hashes and words that can be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from toonlab.digests import file_sha256
from toonlab.inference.stylizer import Stylizer
from toonlab.networks.styles import digest

_PLAIN = (int, float, str, bool, type(None), tuple)


def of_network(network: nn.Module) -> str:
    """Return a SHA-256 of a network's weights, of its modules' settings, and of files that it names."""
    said = []
    for name, module in network.named_modules():
        said.append(f"{name} {type(module).__qualname__}")
        for key, value in sorted(vars(module).items()):
            if isinstance(value, Path) and value.is_file():
                said.append(file_sha256(value))
            elif isinstance(value, _PLAIN) and not key.startswith("_"):
                said.append(f"{key}={value}")
    return digest(network.state_dict(), "\n".join(said))


def of_stylizer(stylizer: Stylizer) -> dict[str, str]:
    """Return a stylizer's settings by name, its network as a hash; its device makes no difference."""
    settings = {"weights": of_network(stylizer.generator)}
    for key, value in sorted(vars(stylizer).items()):
        plain = isinstance(value, _PLAIN) or dataclasses.is_dataclass(value)
        if plain and not key.startswith("_"):
            settings[key] = repr(value)
    return settings
