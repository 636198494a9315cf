"""The words of `src/vote.py`'s command line that may stand there by themselves."""

from __future__ import annotations

from toonlab.app.reporting.arguments import with_folders
from toonlab.errors import UsageError


def with_words(argv: list[str]) -> list[str]:
    """Turn `report DIR` into `report=DIR`, and `DIR` by itself into `output=DIR`.

    Raises:
        UsageError: the word report without a folder, or more words than are understood.
    """
    key, rest = "output", argv
    if argv[1:2] == ["report"]:
        key, rest = "report", [argv[0], *argv[2:]]
    ahead = [argument for argument in rest if not argument.startswith("runs=")]
    gathered = with_folders(ahead)
    if gathered == ahead:
        if key == "report" and not {"--help", "-h"} & set(argv):
            raise UsageError("report: of which vote? python src/vote.py report VOTE_DIR")
        return rest
    folder = gathered[1].removeprefix("runs=[").removesuffix("]")
    if '","' in folder:
        raise UsageError(f"{folder}: one folder of a vote, please; what votes is runs=[…,…]")
    runs = [argument for argument in rest if argument.startswith("runs=")]
    return [rest[0], f"{key}={folder}", *runs, *gathered[2:]]
