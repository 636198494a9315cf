"""Raters' picks: out of a vote's folder, or out of a CSV file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from toonlab.app.ladder import Ballots, Row
from toonlab.errors import UsageError, did_you_mean
from toonlab.votes.store import Store


def read_votes(path: Path, rows: Sequence[Row], *, asked: bool) -> Ballots:
    """Return each rater's picks by the rows' keys; nothing if there is no file and none was asked for.

    Args:
        path: a folder of `src/vote.py`, whose votes for other models than the rows' are left out; or a CSV.
        rows: the runs of the table.
        asked: whether it was named, so that it has to be there.

    Raises:
        UsageError: no file, no such columns, a vote for a method that has no run, or that several have, in a
            CSV.
    """
    if path.is_dir():
        return _counted(_of_a_vote(Store(path), rows))
    if not path.is_file():
        if asked:
            raise UsageError(
                f"votes={path}: no such file; it is a folder of src/vote.py, "
                "or a CSV with the columns rater,model"
            )
        return {}
    return _counted(_of_a_file(path, rows))


def _counted(picks: Iterator[tuple[str, str]]) -> Ballots:
    ballots: dict[str, Counter[str]] = {}
    for rater, key in picks:
        ballots.setdefault(rater, Counter())[key] += 1
    return ballots


def _of_a_vote(store: Store, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield raters with what they picked, of votes for the table's runs."""
    models = store.manifest().models
    by_run = {row.run.resolve(): row.key for row in rows}
    keys = [by_run.get(Path(model.run).resolve()) if model.run else None for model in models]
    if not any(keys):
        raise UsageError(
            f"votes={store.folder}: was about {', '.join(model.name for model in models)}, none of these runs"
        )
    for vote in store.cast():
        if (key := keys[vote.picked]) is not None:
            yield vote.rater, key


def _of_a_file(path: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    by_run = {row.run.name: row.key for row in rows}
    keys = by_run | {row.method: row.key for row in rows if not row.shares_method}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"rater", "model"} <= set(reader.fieldnames or ()):
            raise UsageError(f"votes={path}: needs the columns rater,model in its first line")
        for number, line in enumerate(reader, start=2):
            model = str(line["model"])
            if model in {row.method for row in rows if row.shares_method}:
                raise UsageError(
                    f"votes={path}, line {number}: several runs of method '{model}'; name the run's folder, "
                    f"{', '.join(by_run)}"
                )
            if model not in keys:
                hint = did_you_mean(model, keys)
                raise UsageError(f"votes={path}, line {number}: no run of method '{model}'{hint}")
            yield str(line["rater"]), keys[model]
