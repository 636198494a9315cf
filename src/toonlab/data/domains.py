"""Names for folders of cartoons, one folder for each style to learn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toonlab.errors import UsageError, did_you_mean

_PARTS = frozenset({"train", "val", "test"})


def named(given: Any, key: str = "domains") -> dict[str, str]:
    """Return folders by the names of their domains.

    Args:
        given: `{NAME: DIR}`; or `[DIR, DIR]`, each named by its folder, by the one above if that is `train`,
            `val` or `test`.
        key: the config key, for messages.

    Raises:
        UsageError: none is given, a name comes twice, or one is not of letters, digits, `-` and `_`.
    """
    if isinstance(given, Mapping):
        pairs = [(str(name), folder) for name, folder in given.items()]
    elif isinstance(given, Sequence) and not isinstance(given, str):
        pairs = [(_name(folder), folder) for folder in given]
    else:
        pairs = []
    if not pairs:
        raise UsageError(f"{key}={given}: name folders of cartoons, {key}={{NAME: DIR, …}} or [DIR, DIR]")
    folders: dict[str, str] = {}
    for name, folder in pairs:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise UsageError(
                f"{key}: '{name}' is no name for a domain (letters, digits, - and _); give one: "
                f"{key}={{NAME: {folder}, …}}"
            )
        if name in folders:
            raise UsageError(
                f"{key}: {folders[name]} and {folder} are both called {name}; name them: "
                f"{key}={{NAME: {folders[name]}, OTHER: {folder}, …}}"
            )
        if not folder or not isinstance(folder, str | Path):
            raise UsageError(f"{key}.{name}={folder}: a folder of cartoons belongs here")
        folders[name] = str(folder)
    return folders


def check_known(names: Mapping[str, Any], domains: Sequence[str], key: str) -> None:
    """Refuse names that no domain has.

    Raises:
        UsageError: there is one.
    """
    for name in names:
        if name not in domains:
            hint = did_you_mean(name, domains)
            raise UsageError(f"{key}.{name}: no such domain{hint}; there are {', '.join(domains)}")


def _name(folder: Any) -> str:
    path = Path(str(folder)).expanduser().absolute()
    return path.parent.name if path.name in _PARTS else path.name
