"""The folders of `src/report.py`'s command line, which may stand there by themselves."""

from __future__ import annotations

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
    for before, argument in zip(argv, argv[1:], strict=False):
        is_word = "=" not in argument or Path(argument).expanduser().is_dir()
        if (is_word and not argument.startswith(("-", "~")) and before not in _WITH_A_WORD) or (
            is_word and argument.startswith("~/")
        ):
            folders.append(argument)
        else:
            rest.append(argument)
    if not folders:
        return argv
    if named := [argument for argument in rest if argument.startswith("runs=")]:
        raise UsageError(f"{folders[0]} and {named[0]}: give the folders by themselves, or all in runs=[…,…]")
    quoted = ",".join('"' + folder.replace('"', '\\"') + '"' for folder in folders)
    return [rest[0], f"runs=[{quoted}]", *rest[1:]]
