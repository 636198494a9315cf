"""The folders of `src/report.py`'s command line, which may stand there by themselves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from toonlab.errors import UsageError

_WITH_A_WORD = ("--cfg", "-c", "--package", "-p", "--info", "-i")
"""Hydra's flags whose next argument is theirs."""


def with_folders(argv: list[str]) -> list[str]:
    """Turn `DIR DIR key=value` into `runs=[DIR,DIR] key=value`.

    Raises:
        UsageError: folders by themselves and `runs=` as well.
    """
    rest, folders = argv[:1], list[str]()
    for before, argument in pairwise(argv):
        is_word = "=" not in argument or Path(argument).expanduser().is_dir()
        # `~key` deletes one, in Hydra's language; `~/runs` is a folder, if a shell left it as it is.
        is_hydras = argument.startswith("-") or (argument.startswith("~") and not argument.startswith("~/"))
        is_folder = is_word and not is_hydras and before not in _WITH_A_WORD
        (folders if is_folder else rest).append(argument)
    if not folders:
        return argv
    if named := [argument for argument in rest if argument.startswith("runs=")]:
        raise UsageError(f"{folders[0]} and {named[0]}: give the folders by themselves, or all in runs=[…,…]")
    quoted = ",".join('"' + folder.replace('"', '\\"') + '"' for folder in folders)
    return [rest[0], f"runs=[{quoted}]", *rest[1:]]
