"""What is written down: once, for good, by one at a time, and whole."""

import multiprocessing
import signal
import sqlite3
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from toonlab.errors import UsageError
from toonlab.votes.manifest import Manifest
from toonlab.votes.raters import named
from toonlab.votes.store import ChangedError, Store
from voting import begun, manifest_of


def test_a_vote_is_found_again_as_it_was_begun(tmp_path: Path) -> None:
    store = begun(tmp_path / "vote")
    assert Store(tmp_path / "vote").manifest() == manifest_of()
    ada = store.enter("Ada")
    asked = store.trials(ada)
    assert Store(tmp_path / "vote").enter("ada") == ada  # the same person
    assert store.trials(store.enter("Ada")) == asked
    assert store.rater_of(ada.token) == ada
    assert store.rater_of("x") is None


def test_a_rater_keeps_their_order_whatever_a_library_draws_later(tmp_path: Path, monkeypatch) -> None:
    store = begun(tmp_path)
    asked = store.trials(store.enter("Ada"))
    monkeypatch.setattr("toonlab.votes.design.permutation", lambda n, *key: list(range(n)))
    assert store.trials(store.enter("Ada")) == asked


def test_one_vote_counts_once_and_a_change_of_mind_keeps_the_first(tmp_path: Path) -> None:
    store = begun(tmp_path)
    ada = store.enter("Ada")
    first = store.vote(ada, 0, 1, replaces=0, milliseconds=5)
    assert store.vote(ada, 0, 1, replaces=0, milliseconds=9) == first  # the click arrived twice
    with pytest.raises(ChangedError):  # another window, which does not know of the first
        store.vote(ada, 0, 2, replaces=0, milliseconds=5)
    second = store.vote(ada, 0, 2, replaces=first, milliseconds=7)
    with pytest.raises(ChangedError):  # late: it was the second vote's to replace
        store.vote(ada, 0, 0, replaces=first, milliseconds=5)
    (vote,) = store.cast()
    assert (vote.place, vote.milliseconds, vote.rater) == (2, 7, "Ada")
    assert vote.picked == store.trials(ada)[0].shown[2]
    assert store.answers(ada) == {0: (second, 2)}
    assert store.changes() == 1
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT place, replaces FROM votes ORDER BY id").fetchall() == [(1, 0), (2, first)]
    with pytest.raises(IndexError):
        store.vote(ada, 99, 0, replaces=0, milliseconds=None)
    with pytest.raises(IndexError):
        store.vote(ada, 1, 3, replaces=0, milliseconds=None)


def test_the_database_itself_refuses_two_votes_in_the_place_of_one(tmp_path: Path) -> None:
    """The rule does not rest on our code alone."""
    store = begun(tmp_path)
    ada = store.enter("Ada")
    store.vote(ada, 0, 1, replaces=0, milliseconds=None)
    with sqlite3.connect(store.path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO votes (rater, number, place, replaces, at) VALUES (?, 0, 2, 0, 0)", (ada.id,))


def test_many_raters_at_once_lose_nothing(tmp_path: Path) -> None:
    photos, people = 6, 8
    store = begun(tmp_path, manifest_of(photos=photos))
    trouble: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(2):  # a second window of the same rater clicks the same
                rater = store.enter(name)
                for number in range(photos):
                    store.vote(rater, number, number % 3, replaces=0, milliseconds=1)
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=work, args=(f"r{i // 2}",)) for i in range(2 * people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    cast = store.cast()
    assert len(cast) == people * photos
    assert len({(vote.rater, vote.number) for vote in cast}) == people * photos
    assert [done for _, done, _ in store.progress()] == [photos] * people


def write_on(folder: Path, confirmed: Connection) -> None:
    store = Store(folder)
    rater = store.enter("Ada")
    for number in range(5000):
        store.vote(rater, number, number % 3, replaces=0, milliseconds=None)
        confirmed.send(number)


def test_kill_9_loses_no_vote_that_was_confirmed(tmp_path: Path) -> None:
    store = begun_without_pictures(tmp_path / "vote", photos=5000)
    here, there = multiprocessing.Pipe(duplex=False)
    writer = multiprocessing.get_context("fork").Process(target=write_on, args=(store.folder, there))
    writer.start()
    there.close()
    confirmed = [here.recv() for _ in range(20)]
    writer.kill()
    with suppress(EOFError):
        while True:
            confirmed.append(here.recv())
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    cast = store.cast()
    assert 20 <= len(confirmed) < 5000
    # One may have been written and not yet confirmed.
    assert len(confirmed) <= len(cast) <= len(confirmed) + 1
    assert [vote.number for vote in cast] == list(range(len(cast)))
    ada = store.enter("Ada")
    store.vote(ada, len(cast), 0, replaces=0, milliseconds=None)
    assert len(store.cast()) == len(cast) + 1


def begun_without_pictures(folder: Path, *, photos: int) -> Store:
    store = Store(folder)
    store.begin(manifest_of(photos=photos))
    return store


def test_half_a_beginning_is_none(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.begin(manifest_of())
    monkeypatch.undo()
    assert not store.exists
    store.begin(manifest_of())
    assert store.manifest() == manifest_of()


def test_a_folder_without_a_vote_and_a_damaged_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no vote there; begin one with runs="):
        Store(tmp_path).manifest()
    (tmp_path / "votes.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UsageError, match=r"votes\.sqlite: not a vote's database, or damaged"):
        Store(tmp_path).manifest()
    text = manifest_of().to_json().replace('"format": 1', '"format": 2')
    with pytest.raises(UsageError, match="newer toonlab"):
        Manifest.from_json(text)


def test_another_vote_is_told_from_this_one() -> None:
    ours = manifest_of()
    assert ours.difference(Manifest.from_json(ours.to_json())) is None
    moved = manifest_of(photos_dir="elsewhere")
    assert ours.difference(moved) is None  # the photos count, not their folder
    assert ours.difference(manifest_of("pairs")) == "mode=pick there, mode=pairs now"
    assert ours.difference(manifest_of(seed=1)) == "seed=0 there, seed=1 now"
    assert ours.difference(manifest_of(models=2)).endswith(["models", "alpha_net, beta_net now"][1])
    assert ours.difference(manifest_of(photos=5)).startswith("4 photos there, 5 now; the first")
    other = [vars(model) for model in ours.models]
    other[1] = other[1] | {"sha256": "f"}
    changed = manifest_of()
    changed = Manifest(**{**vars(changed), "models": tuple(type(ours.models[0])(**each) for each in other)})
    assert ours.difference(changed) == "beta_net is not what it was there: other weights or settings"


def test_a_vote_needs_something_to_choose_from() -> None:
    with pytest.raises(UsageError, match="between 2 and 9"):
        manifest_of(models=1)
    with pytest.raises(UsageError, match="no photo there"):
        manifest_of(photos=0)
    with pytest.raises(UsageError, match="mode=best: use one of pick, pairs"):
        manifest_of("best")  # type: ignore[arg-type]


@pytest.mark.parametrize("good", ["Ada", "  Ada   Lovelace ", "Børge", "陳", "O'Neill-2", "d\u2019Alembert"])
def test_names_of_people(good: str) -> None:
    assert named(good) == " ".join(good.split())


@pytest.mark.parametrize(
    "bad", ["", "   ", "a" * 41, "<b>x</b>", "a|b", "../x", "=1+1", 'a"b', "a\x00b", None, 3, ["x"], "-x"]
)
def test_what_is_no_name(bad: object) -> None:
    with pytest.raises(ValueError, match="Please"):
        named(bad)
