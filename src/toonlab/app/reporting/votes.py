"""Raters' picks, out of a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from toonlab.app.ladder import Ballots, Row
from toonlab.errors import UsageError, did_you_mean


def read_votes(path: Path, rows: Sequence[Row], *, asked: bool) -> Ballots:
    """Return each rater's picks by method; nothing if there is no file and none was asked for.

    Raises:
        UsageError: no file, no such columns, or a vote for a method that has no run.
    """
    if not path.is_file():
        if asked:
            raise UsageError(f"votes={path}: no such file; it is a CSV with the columns rater,model")
        return {}
    known = {row.method for row in rows}
    ballots: dict[str, Counter[str]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"rater", "model"} <= set(reader.fieldnames or ()):
            raise UsageError(f"votes={path}: needs the columns rater,model in its first line")
        for number, line in enumerate(reader, start=2):
            if line["model"] not in known:
                hint = did_you_mean(str(line["model"]), known)
                raise UsageError(f"votes={path}, line {number}: no run of method '{line['model']}'{hint}")
            ballots.setdefault(str(line["rater"]), Counter())[line["model"]] += 1
    return ballots
