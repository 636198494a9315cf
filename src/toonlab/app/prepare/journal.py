"""Long work that may stop at any moment: done a few at a time, each result on disk at once."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from toonlab.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")


class Journal:
    """A CSV table, one line for each file that was done, appended as it is done.

    A line that a power cut left half-written counts as not there; so does a table of other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, list(columns)
        self.rows = {row[self.columns[0]]: row for row in read_table(path, self.columns)}
        write_table(path, self.columns, self.rows.values())  # whole lines only, before more follow
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, self.columns, restval="", lineterminator="\n")

    def add(self, row: Mapping[str, object]) -> None:
        """Keep a row; one of the same file is replaced."""
        self._writer.writerow(row)
        self._file.flush()
        self.rows[str(row[self.columns[0]])] = {c: str(row.get(c, "")) for c in self.columns}

    def close(self, order: Iterable[str]) -> list[dict[str, str]]:
        """Write the table anew, with the rows of these files in this order, and return them."""
        self._file.close()
        rows = [self.rows[file] for file in order if file in self.rows]
        write_table(self.path, self.columns, rows)
        return rows


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the whole rows of a table; none if it is not there or has other columns."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1]
    table = csv.DictReader(whole.splitlines(keepends=True))
    if table.fieldnames is None or list(table.fieldnames) != list(columns):
        return []
    return [row for row in table if None not in row and None not in row.values()]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table atomically."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def each(
    work: Callable[[T], R], items: Sequence[T], *, workers: int | None, what: str, unit: str
) -> Iterator[tuple[T, R]]:
    """Yield each item with its result, in order, `workers` at a time in threads, with a progress bar.

    Raises:
        UsageError: `workers` is no number from 1.
    """
    pool = ThreadPoolExecutor(checked(workers))
    try:
        results = tqdm(pool.map(work, items), total=len(items), desc=what, unit=unit, disable=not items)
        yield from zip(items, results, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def checked(workers: int | None) -> int:
    """Return how many workers there shall be; None is one for each core.

    Raises:
        UsageError: not a whole number from 1.
    """
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise UsageError(f"workers={workers}: a whole number, 1 or more")
    return workers or os.cpu_count() or 1


def state_of(file: Path) -> str:
    """Return what tells a file from its earlier self: size and time."""
    state = file.stat()
    return f"{state.st_size}-{state.st_mtime_ns}"
