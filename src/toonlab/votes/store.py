"""The vote's database: one file, written whole or not at all, by one at a time.

Nothing is ever overwritten: a changed mind is a new line that names the one it replaces. No line can be
replaced twice, so that a click that arrives twice counts once, and two open windows cannot contradict each
other unseen.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from toonlab.errors import UsageError
from toonlab.votes.design import Trial, trials
from toonlab.votes.manifest import Manifest
from toonlab.votes.raters import key_of

FILE = "votes.sqlite"

_SCHEMA = """
CREATE TABLE manifest (content TEXT NOT NULL);
CREATE TABLE pictures (token TEXT PRIMARY KEY, photo INTEGER NOT NULL, model INTEGER, UNIQUE (photo, model));
CREATE UNIQUE INDEX photographs ON pictures (photo) WHERE model IS NULL;
CREATE TABLE raters (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  token TEXT NOT NULL UNIQUE, began REAL NOT NULL);
CREATE TABLE trials (rater INTEGER NOT NULL REFERENCES raters, number INTEGER NOT NULL,
  photo INTEGER NOT NULL, shown TEXT NOT NULL, PRIMARY KEY (rater, number)) WITHOUT ROWID;
CREATE TABLE votes (id INTEGER PRIMARY KEY, rater INTEGER NOT NULL, number INTEGER NOT NULL,
  place INTEGER NOT NULL, replaces INTEGER NOT NULL, milliseconds INTEGER, at REAL NOT NULL,
  FOREIGN KEY (rater, number) REFERENCES trials, UNIQUE (rater, number, replaces));
CREATE VIEW standing AS SELECT * FROM votes WHERE id NOT IN (SELECT replaces FROM votes);
"""


class Rater(NamedTuple):
    """Who votes; the token is in their browser alone."""

    id: int
    name: str
    token: str


class Cast(NamedTuple):
    """A vote that stands, with the question it answers."""

    rater: str
    number: int
    photo: int
    shown: tuple[int, ...]
    place: int
    milliseconds: int | None
    at: float

    @property
    def picked(self) -> int:
        """The model."""
        return self.shown[self.place]


class ChangedError(Exception):
    """The vote was cast or changed elsewhere in the meantime."""


class Store:
    """A vote's folder. Usable from any thread: each call opens the database for itself.

    Args:
        folder: holds, or will hold, `votes.sqlite`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE

    @property
    def exists(self) -> bool:
        """Whether a vote was begun here."""
        return self.path.is_file()

    def begin(self, manifest: Manifest) -> None:
        """Make the database. It appears under its name when it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{FILE}.part")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as db:
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO manifest VALUES (?)", (manifest.to_json(),))
            tokens = [
                (secrets.token_hex(12), photo, model)
                for photo in range(len(manifest.photos))
                for model in (None, *range(len(manifest.models)))
            ]
            # In the order of their random names: not even their order on the disk tells.
            db.executemany("INSERT INTO pictures VALUES (?, ?, ?)", sorted(tokens))
            db.commit()
        part.replace(self.path)

    def manifest(self) -> Manifest:
        """Return what this vote is about.

        Raises:
            UsageError: there is no vote here, or its database cannot be read.
        """
        if not self.exists:
            raise UsageError(
                f"{self.folder}: no vote there; begin one with runs=[…] photos=DIR output={self.folder}"
            )
        try:
            with self._reading() as db:
                return Manifest.from_json(db.execute("SELECT content FROM manifest").fetchone()[0])
        except (sqlite3.DatabaseError, TypeError, KeyError, json.JSONDecodeError) as error:
            raise UsageError(f"{self.path}: not a vote's database, or damaged ({error})") from error

    def tokens(self) -> dict[tuple[int, int | None], str]:
        """Return the pictures' names, by photo and model; None: the photo itself."""
        with self._reading() as db:
            rows = db.execute("SELECT photo, model, token FROM pictures").fetchall()
        return {(photo, model): token for photo, model, token in rows}

    def enter(self, name: str) -> Rater:
        """Return the rater of that name; a new one gets their questions now, and keeps them for good.

        They are kept, not computed anew, because another version of a library might draw another order.
        """
        manifest, key = self.manifest(), key_of(name)
        with self._writing() as db:
            if found := db.execute("SELECT id, name, token FROM raters WHERE key = ?", (key,)).fetchone():
                return Rater(*found)
            token = secrets.token_urlsafe(24)
            rater = db.execute(
                "INSERT INTO raters (key, name, token, began) VALUES (?, ?, ?, ?)",
                (key, name, token, time.time()),
            ).lastrowid
            asked = trials(
                manifest.mode,
                models=len(manifest.models),
                photos=len(manifest.photos),
                seed=manifest.seed,
                rater=key,
            )
            rows = [
                (rater, number, trial.photo, json.dumps(trial.shown)) for number, trial in enumerate(asked)
            ]
            db.executemany("INSERT INTO trials VALUES (?, ?, ?, ?)", rows)
            return Rater(int(rater or 0), name, token)

    def rater_of(self, token: str) -> Rater | None:
        """Return whose token that is."""
        with self._reading() as db:
            found = db.execute("SELECT id, name, token FROM raters WHERE token = ?", (token,)).fetchone()
        return Rater(*found) if found else None

    def trials(self, rater: Rater) -> list[Trial]:
        """Return a rater's questions in their order."""
        query = "SELECT photo, shown FROM trials WHERE rater = ? ORDER BY number"
        with self._reading() as db:
            return [Trial(photo, tuple(json.loads(shown))) for photo, shown in db.execute(query, (rater.id,))]

    def answers(self, rater: Rater) -> dict[int, tuple[int, int]]:
        """Return by question the vote that stands: its number in the database, and the place picked."""
        query = "SELECT number, id, place FROM standing WHERE rater = ?"
        with self._reading() as db:
            return {number: (vote, place) for number, vote, place in db.execute(query, (rater.id,))}

    def vote(self, rater: Rater, number: int, place: int, *, replaces: int, milliseconds: int | None) -> int:
        """Cast a vote, on the disk before this returns; the same vote once more changes nothing.

        Args:
            rater: whose.
            number: of the question.
            place: the picture's, from 0.
            replaces: the vote that stood when the question was shown; 0 if there was none.
            milliseconds: how long the pictures had been in sight.

        Returns:
            The vote's number, which a change of mind replaces.

        Raises:
            ChangedError: another vote stands by now, cast in another window.
            IndexError: no such question or place.
        """
        with self._writing() as db:
            trial = db.execute(
                "SELECT shown FROM trials WHERE rater = ? AND number = ?", (rater.id, number)
            ).fetchone()
            if trial is None or not 0 <= place < len(json.loads(trial[0])):
                raise IndexError
            standing = db.execute(
                "SELECT id, place, replaces FROM standing WHERE rater = ? AND number = ?", (rater.id, number)
            ).fetchone()
            if standing and standing[1] == place:  # again, or the same mind: nothing to write down
                return int(standing[0])
            if replaces != (standing[0] if standing else 0):
                raise ChangedError
            written = db.execute(
                "INSERT INTO votes (rater, number, place, replaces, milliseconds, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (rater.id, number, place, replaces, milliseconds, time.time()),
            )
            return int(written.lastrowid or 0)

    def cast(self) -> list[Cast]:
        """Return all votes that stand, by rater and question."""
        query = """SELECT raters.name, number, photo, shown, place, milliseconds, at
          FROM standing JOIN trials USING (rater, number) JOIN raters ON raters.id = rater
          ORDER BY rater, number"""
        with self._reading() as db:
            return [
                Cast(name, number, photo, tuple(json.loads(shown)), *rest)
                for name, number, photo, shown, *rest in db.execute(query)
            ]

    def progress(self) -> Sequence[tuple[str, int, int]]:
        """Return of each rater the name, how many questions are answered, and how many there are."""
        query = """SELECT name, (SELECT count(*) FROM standing WHERE rater = raters.id),
          (SELECT count(*) FROM trials WHERE rater = raters.id) FROM raters ORDER BY id"""
        with self._reading() as db:
            return [(name, done, of) for name, done, of in db.execute(query)]

    def changes(self) -> int:
        """Return how many votes were replaced by others."""
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM votes WHERE replaces > 0").fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction; it is on the disk when this ends well, and never was when it does not."""
        with self._reading() as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()
