"""Turns an exception into the one line that its reader needs, or into nothing."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from toonlab.errors import UsageError, did_you_mean

_OF_THE_DISK = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOSPC}
)
"""What only who chose the folder can mend."""


def explain(error: BaseException, config: str) -> str | None:
    """Return one line that names the key and the nearest right name; None if the error is not the user's."""
    for cause in _chain(error):
        if isinstance(cause, UsageError):
            # A loader's worker wraps its message in its traceback.
            return str(cause).rpartition("UsageError: ")[2].strip()
        if isinstance(cause, MissingMandatoryValue):
            # Of a key that another one is made of, the message alone says which.
            key = cause.full_key or str(cause).partition("Missing mandatory value: ")[2].split("\n")[0]
            return f"{key}=… is required; see --help"
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, option = cause.missing_cfg_file.removesuffix(".yaml").rpartition("/")
            known = [name for name in cause.options or [] if not name.startswith("_")]
            if not group:
                continue
            return (
                f"{group}={option}: no such option{did_you_mean(option, known)}; there are {', '.join(known)}"
            )
        if isinstance(cause, OverrideParseException):
            return (
                f"'{cause.override}': not of the form key=value ({_first_line(cause)}); a value with "
                "brackets, commas or spaces needs quotes within quotes: 'key=\"value\"'"
            )
        if found := re.search(r"Could not (?:override|append to|delete) '([^']+)'", str(cause)):
            return _unknown(found[1], str(cause), config)
    # Itself, and no cause: many an error comes after one of the disk that was dealt with.
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK and error.filename:
        return f"{error.filename}: {str(error.strerror).lower()}; name another place, or make room there"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _first_line(error)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()  # an exception may be its own cause
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _unknown(key: str, message: str, config: str) -> str:
    keys = sorted(_known_keys(config))
    if key in keys:  # the key is right, so the value's type is not
        return f"{key}: {_last_line(message)}"
    parent, _, leaf = key.rpartition(".")
    siblings = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == parent]
    if parent in keys and (hint := did_you_mean(leaf, siblings)):
        return f"{key}: no such key{hint}"
    if parent in keys and not siblings:  # a group without a choice
        return f"{key}: no {parent} is chosen; name it as well, {parent}=… (see --help)"
    if parent in keys:
        return f"{key}: no such key; {parent} has {', '.join(siblings)}, and +{key}=… would add one"
    return f"{key}: no such key or group{did_you_mean(key, keys)}; see --help for all"


def _known_keys(config: str) -> set[str]:
    """All dotted keys and groups under the groups chosen on the command line that exist."""
    from toonlab.app.cli import CONF

    GlobalHydra.instance().clear()
    from hydra import initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)  # noqa: S101 (for mypy)
        groups = {group for group in loader.list_groups("") if group != "hydra"}
        chosen = []
        for argument in sys.argv[1:]:
            name, _, option = argument.partition("=")
            if name in groups and option in loader.get_group_options(name):
                chosen.append(argument)
        cfg = compose(config, overrides=chosen)
    return groups | set(_dotted(OmegaConf.to_container(cfg), ""))


def _dotted(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _last_line(message: str) -> str:
    return message.strip().splitlines()[-1].strip()
