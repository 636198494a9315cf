"""What stands before the served page, by itself: calls that are too large, too slow, or none."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from toonlab.app.serving import calls
from toonlab.app.serving.guard import Guard
from toonlab.app.serving.room import Room

PAINT = "/gradio_api/call/paint"
JOIN = "/gradio_api/queue/join"
JSON = "application/json"


class Behind:
    """Stands for Gradio: takes everything, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.heard.append((await receive())["body"] if scope["method"] == "POST" else b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def guard(behind: Behind, tmp_path: Path) -> Guard:
    room = Room(tmp_path, budget=10**6, seconds=60)
    return Guard(behind, room=room, max_upload=10**6, hosts=["127.0.0.1"])


async def ask(
    guard: Guard,
    path: str,
    *pieces: bytes,
    kind: str | None = JSON,
    stops: bool = False,
    **headers: str,
) -> tuple[int, str]:
    """Send a request piece by piece; one that `stops` never says the rest."""
    said: list[Any] = []
    waiting = [
        {"type": "http.request", "body": piece, "more_body": stops or n + 1 < len(pieces)}
        for n, piece in enumerate(pieces)
    ]

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        said.append(message)

    named = {"host": "127.0.0.1:7860", **headers} | ({} if kind is None else {"content-type": kind})
    scope = {
        "type": "http",
        "method": "POST" if pieces else "GET",
        "path": path,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
    }
    await guard(scope, receive, send)
    return said[0]["status"], said[1]["body"].decode()


def frame(size: int, **more: Any) -> bytes:
    url = "data:image/jpeg;base64," + "A" * size
    return json.dumps({"data": [{"path": None, "url": url, "meta": {"_type": "x"}}, 1], **more}).encode()


@pytest.mark.parametrize("path", [PAINT, JOIN, "/gradio_api/stream/x", "/gradio_api/call/v2/paint", "/login"])
def test_millions_of_lists_are_refused_before_they_are_parsed(
    guard: Guard, behind: Behind, path: str
) -> None:
    body = b'{"data":[' + b"[]," * 2_700_000 + b"[]]}"
    begun = time.monotonic()
    assert asyncio.run(ask(guard, path, body))[0] == 413
    assert time.monotonic() - begun < 1
    assert behind.heard == []


@pytest.mark.parametrize("path", [PAINT, JOIN])
@pytest.mark.parametrize("inside", [b"[],", b"{},", b"1,", b"[" * 9])
def test_few_bytes_of_many_signs_are_refused_too(
    guard: Guard, behind: Behind, path: str, inside: bytes
) -> None:
    assert asyncio.run(ask(guard, path, b'{"data":[' + inside * 400 + b"1]}"))[0] == 413
    assert behind.heard == []


def test_only_the_camera_may_say_more_than_a_call_holds(guard: Guard, behind: Behind) -> None:
    for path in (JOIN, "/gradio_api/stream/abc"):
        assert asyncio.run(ask(guard, path, frame(2_000_000)))[0] == 200
        assert asyncio.run(ask(guard, path, frame(calls.LARGEST_FRAME)))[0] == 413
        assert asyncio.run(ask(guard, path, frame(9, more="a" * 100_000)))[0] == 413
        escaped = frame(9).replace(b"AAA", rb"\u0041" * 100_000)
        assert asyncio.run(ask(guard, path, escaped))[0] == 413
    assert len(behind.heard) == 2
    assert asyncio.run(ask(guard, PAINT, frame(100_000)))[0] == 413
    assert asyncio.run(ask(guard, PAINT, b"{}", content_length="99999999", expect="100-continue"))[0] == 413
    assert len(behind.heard) == 2


def test_what_is_not_said_in_time_is_dropped(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.1)
    for path in (PAINT, JOIN, "/gradio_api/cancel", "/login"):
        assert asyncio.run(ask(guard, path, b'{"data":["a', stops=True))[0] == 408
    assert asyncio.run(ask(guard, PAINT, b"a" * 10**6, stops=True))[0] == 413


def test_large_calls_share_a_budget_and_give_it_back(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)

    async def crowd() -> tuple[list[int], int]:
        held = [asyncio.create_task(ask(guard, JOIN, frame(2**22 - 500), stops=True)) for _ in range(40)]
        await asyncio.sleep(0.05)
        small = await ask(guard, JOIN, b'{"data":[1]}')
        return [(await each)[0] for each in held], small[0]

    answers, small = asyncio.run(crowd())
    assert small == 200
    assert {status: answers.count(status) for status in answers} == {408: 16, 503: 24}
    assert asyncio.run(ask(guard, JOIN, frame(2**22 - 500)))[0] == 200
    assert guard.calls._large == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 403),
        ("Application/JSON", 403),
        ("APPLICATION/JSON; charset=utf-8", 403),
        ("application/x+json", 415),
        ("application/jsonp", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_no_type_of_a_call_gets_past_the_look_at_its_files(
    guard: Guard, behind: Behind, kind: str | None, status: int
) -> None:
    body = json.dumps({"data": [{"path": "/etc/passwd"}]}).encode()
    for path in (PAINT, PAINT + "/", JOIN, "/gradio_api/call/v2/paint", "/gradio_api/run/predict"):
        assert asyncio.run(ask(guard, path, body, kind=kind))[0] == status
    assert behind.heard == []


def test_the_form_of_the_login_is_let_through(guard: Guard, behind: Behind) -> None:
    form = "application/x-www-form-urlencoded"
    assert asyncio.run(ask(guard, "/login", b"username=a&pass", b"word=b", kind=form))[0] == 200
    assert behind.heard == [b"username=a&password=b"]


@pytest.mark.parametrize("host", ["127.0.0.1:[x", "[", "[::1", "[x]"])
def test_a_host_that_is_none_is_refused(guard: Guard, behind: Behind, host: str) -> None:
    assert asyncio.run(ask(guard, "/", host=host))[0] in (400, 403)
    assert asyncio.run(ask(guard, "/", origin=f"http://{host}"))[0] in (400, 403)
    assert behind.heard == []


@pytest.mark.parametrize(
    "call",
    [
        {"data": 3},
        {"data": None},
        {"data": {"0": 1}},
        {"data": [[1]]},
        {"data": [{"a": {"b": 1}}]},
        {"data": [{"meta": {"b": [1]}}]},
        {"data": [1] * 33},
        {"photo": [1]},
        [1],
        None,
    ],
)
def test_calls_of_another_shape_are_told_so(guard: Guard, behind: Behind, call: Any) -> None:
    status, told = asyncio.run(ask(guard, PAINT, json.dumps(call).encode()))
    assert status == 400
    assert json.loads(told)["detail"].startswith("a call ")
    assert behind.heard == []


def test_a_call_of_the_page_is_let_through(guard: Guard, behind: Behind, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    about = {"path": str(tmp_path / "a.png"), "url": "http://127.0.0.1/x", "size": None, "is_stream": False}
    file = {**about, "meta": {"_type": "gradio.FileData"}}
    page = {"data": [file, "a, b", None, 0.5, False], "event_data": {"index": [0, 1]}, "fn_index": 3}
    for call in (page, {"photo": file, "strength": 0.5}, {"data": [None]}, {}):
        assert asyncio.run(ask(guard, JOIN, json.dumps(call).encode()))[0] == 200
    assert len(behind.heard) == 4
