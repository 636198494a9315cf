"""The page's answers, and what it does not answer."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toonlab.errors import UsageError
from toonlab.votes.api import Api
from toonlab.votes.server import CONNECTIONS, LONGEST_BODY, Server
from toonlab.votes.store import Store
from voting import NAMES, Visitor, begun, served


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return begun(tmp_path / "vote")


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with served(store) as running:
        yield running


@pytest.fixture
def visitor(server: Server) -> Visitor:
    return Visitor(server)


def test_a_rater_votes_goes_back_and_finishes(visitor: Visitor, store: Store) -> None:
    assert visitor.get("/api/question")[1] == {"stranger": True}
    question = visitor.enter("Ada")
    assert (question["number"], question["done"], question["total"]) == (0, 0, 4)
    assert len(question["pictures"]) == 4  # the photo and three
    second = visitor.vote(question, 2)
    assert second["pictures"] == question["upcoming"][0]
    _, back, _ = visitor.get("/api/question?number=0")
    assert (back["place"], back["pictures"]) == (2, question["pictures"])
    assert visitor.vote(back, 0)["number"] == 1  # where they were
    for _ in range(3):
        second = visitor.vote(second, 1)
    assert second["finished"]
    assert "pictures" not in second
    assert [vote.place for vote in store.cast()] == [0, 1, 1, 1]
    assert store.changes() == 1


def test_the_same_question_stands_after_a_reload_and_a_restart(store: Store) -> None:
    with served(store) as server:
        visitor = Visitor(server)
        told = visitor.vote(visitor.enter("Ada"), 0)
    with served(Store(store.folder)) as server:
        later = Visitor(server)
        later.cookie = visitor.cookie
        assert later.get("/api/question")[1] == told
        assert Visitor(server).enter("ADA") == told


def test_two_windows_cannot_contradict_each_other_unseen(visitor: Visitor, store: Store) -> None:
    question = visitor.enter("Ada")
    visitor.vote(question, 0)
    told = visitor.vote(question, 2)
    assert told["changed"]
    assert (told["number"], told["place"]) == (0, 0)
    assert len(store.cast()) == 1
    assert visitor.vote(told, 2)["number"] == 1
    assert store.cast()[0].place == 2


def test_fifty_double_clicks_at_once_count_once_each(server: Server, store: Store) -> None:
    at_once = threading.Barrier(50)

    def click(i: int) -> None:
        visitor = Visitor(server)
        question = visitor.enter(f"rater {i // 2}")
        at_once.wait(60)
        visitor.vote(question, 1)

    threads = [threading.Thread(target=click, args=(i,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.cast()) == 25


def test_nothing_that_is_sent_names_a_model(visitor: Visitor, store: Store) -> None:
    question = visitor.enter("Ada")
    said = repr(question)
    for path in ("/", "/vote.js", "/vote.css", f"/picture/{question['pictures'][1]}.png"):
        status, content, headers = visitor.get(path)
        assert status == 200
        said += repr(content) + repr(headers)
    for word in (*NAMES, "checkpoint", "ckpt", "photo_0"):
        assert word not in said
    assert all(re.fullmatch("[0-9a-f]{24}", token) for token in question["pictures"])
    assert len(set(store.tokens().values())) == 4 * 4


def test_names_of_pictures_are_new_in_every_vote(tmp_path: Path) -> None:
    one, two = (set(begun(tmp_path / name).tokens().values()) for name in "ab")
    assert not one & two


@pytest.mark.parametrize(
    "path",
    [
        *("/picture/../votes.sqlite", "/picture/%2e%2e/votes.sqlite", "/picture/..%2fvotes.sqlite.png"),
        *(
            "/votes.sqlite",
            "//etc/passwd",
            "/../../etc/passwd",
            "/picture/",
            "/picture/x.png",
            "/api/nothing",
        ),
        *("/picture/\\..\\votes.sqlite", "/report.html", "/pictures/"),
    ],
)
def test_no_other_file_is_to_be_had(visitor: Visitor, path: str) -> None:
    status, told, _ = visitor.get(path)
    assert (status, list(told)) == (404, ["error"])


def test_other_pages_cannot_vote(visitor: Visitor, store: Store) -> None:
    question = visitor.enter("Ada")
    body = {"number": 0, "place": 0, "replaces": 0}
    assert visitor.post("/api/vote", body, Origin="http://evil.example")[0] == 403
    assert visitor.post("/api/vote", body, Origin="null")[0] == 403
    assert visitor.post("/api/vote", body, Origin="http://[")[0] == 403
    assert visitor.post("/api/vote", body, Sec_Fetch_Site="cross-site")[0] == 403
    assert visitor.post("/api/vote", body, Content_Type="text/plain")[0] == 415
    assert visitor.post("/api/vote", body, Host="evil.example")[0] == 403  # a name that now means our address
    assert visitor.get("/api/question", Host="evil.example:80")[0] == 403
    assert store.cast() == []
    own = f"http://127.0.0.1:{visitor.port}"
    assert visitor.post("/api/vote", body, Origin=own, Sec_Fetch_Site="same-origin")[0] == 200
    assert len(store.cast()) == 1
    headers = visitor.post("/api/rater", {"name": "Ada"})[2]
    assert {"HttpOnly", "SameSite=Strict"} <= set(headers["Set-Cookie"].split("; "))
    assert "default-src 'none'" in visitor.get("/")[2]["Content-Security-Policy"]
    assert question["number"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * (LONGEST_BODY + 1), 413),
        (b"{", 400),
        (b"[" * 4000, 400),
        (b"[1]", 400),
        ({"number": "0", "place": 0, "replaces": 0}, 400),
        ({"number": True, "place": 0, "replaces": 0}, 400),
        ({"number": 0, "place": 9, "replaces": 0}, 400),
        ({"number": 0, "place": -1, "replaces": 0}, 400),
        ({"number": 3, "place": 0, "replaces": 0}, 400),  # not up yet
        ({"number": 2**70, "place": 0, "replaces": 0}, 400),
        ({"place": 0}, 400),
    ],
)
def test_a_body_that_is_no_vote(visitor: Visitor, store: Store, body: object, status: int) -> None:
    visitor.enter("Ada")
    answered, told, _ = visitor.post("/api/vote", body)
    assert (answered, list(told)) == (status, ["error"])
    assert store.cast() == []


def test_an_absurd_time_is_not_kept_but_the_vote_is(visitor: Visitor, store: Store) -> None:
    question = visitor.enter("Ada")
    for place, spent in enumerate((-5, "long", 1e9)):
        question = visitor.vote(question, place, milliseconds=spent)
    assert [vote.milliseconds for vote in store.cast()] == [None] * 3


def test_without_a_name_there_is_no_vote(visitor: Visitor, store: Store) -> None:
    assert visitor.post("/api/vote", {"number": 0, "place": 0, "replaces": 0})[0] == 401
    visitor.cookie = f"{Api(store).cookie}=forged"
    assert visitor.post("/api/vote", {"number": 0, "place": 0, "replaces": 0})[0] == 401
    visitor.cookie = 'a="b; \x80; =;;'
    assert visitor.get("/api/question")[0] == 200
    status, told, _ = visitor.post("/api/rater", {"name": "<script>"})
    assert (status, told["error"][:6]) == (400, "Please")


def test_a_length_that_is_none_and_a_verb_that_is_none(visitor: Visitor) -> None:
    for line in (
        b"POST /api/vote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        b"BREW / HTTP/1.1\r\n",
    ):
        with socket.create_connection(("127.0.0.1", visitor.port), timeout=20) as raw:
            raw.sendall(line + b"\r\n")
            assert raw.recv(4096).split()[1] in (b"411", b"501")
    assert visitor.get("/")[0] == 200


def test_silent_connections_do_not_shut_the_others_out(server: Server, monkeypatch) -> None:
    monkeypatch.setattr("toonlab.votes.server.Handler.timeout", 0.3)
    silent = [
        socket.create_connection(("127.0.0.1", server.server_address[1])) for _ in range(CONNECTIONS + 20)
    ]
    for _ in range(50):
        try:
            assert Visitor(server).get("/")[0] == 200
            break
        except (ConnectionError, OSError):
            threading.Event().wait(0.2)
    else:
        pytest.fail("no answer any more")
    for each in silent:
        each.close()


def test_a_full_disk_is_said_and_survived(visitor: Visitor, store: Store, monkeypatch, caplog) -> None:
    import sqlite3

    question = visitor.enter("Ada")
    vote = Store.vote

    def full(*args: object, **more: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "vote", full)
    status, told, _ = visitor.post("/api/vote", {"number": 0, "place": 0, "replaces": 0})
    assert (status, "disk full" in told["error"]) == (503, True)
    assert "database or disk is full" in caplog.text
    monkeypatch.setattr(Store, "vote", vote)
    assert visitor.vote(question, 0)["number"] == 1


def test_where_it_cannot_listen_it_says_so(server: Server, store: Store) -> None:
    taken = server.server_address[1]
    with pytest.raises(UsageError, match=rf"port={taken}: cannot listen there .*port=0 takes a free one"):
        Server(Api(store), store.folder, host="127.0.0.1", port=taken)
    with pytest.raises(UsageError, match="cannot listen there"):
        Server(Api(store), store.folder, host="127.0.0.1", port=99999)
    with pytest.raises(UsageError, match="cannot listen there"):
        Server(Api(store), store.folder, host="no such host", port=0)


@pytest.mark.parametrize(
    ("host", "at", "known"),
    [
        ("127.0.0.1", "localhost:1", True),
        ("127.0.0.1", "127.0.0.1:1", True),
        ("127.0.0.1", "[::1]:1", True),
        ("127.0.0.1", "192.168.1.5:1", False),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[x", False),
        ("0.0.0.0", "192.168.1.5:1", True),
        ("0.0.0.0", "evil.example", False),
    ],
)
def test_by_which_names_it_is_reached(host: str, at: str, known: bool) -> None:
    server = Server.__new__(Server)
    server.host = host
    assert server.knows(at) is known
