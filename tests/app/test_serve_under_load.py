"""Fifty visitors at once, some of them hostile: everybody is answered, and the memory stays bounded."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from marked import scene
from served import Served, checkpoints, served

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[serve]")
pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)

VISITORS = 50
CHOSEN = ["whitebox", "texture 1", "its own", "no other", 0.5, 1.0, False, "full", "auto"]
ABOVE = 1200.0
"""MiB above what the server takes after its first picture; one of six million pixels takes some 500."""


def encoded(picture: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def photo(n: int, width: int = 640, height: int = 480) -> bytes:
    return encoded(Image.fromarray(scene(n, width=width, height=height)))


LARGE = photo(0, 3000, 2000)
BOMB = encoded(Image.new("1", (20_000, 20_000)), "PNG")


def painted(page: Served, content: bytes, name: str) -> str:
    status, answer = page.send(content, name, seconds=240)
    if status != 200:
        return f"refused {status}"
    told = page.paint(json.loads(answer)[0], *CHOSEN, seconds=600)
    if isinstance(told, list):
        assert Image.open(io.BytesIO(page.file(told[0]))).format == "JPEG"
        return "painted"
    return "busy" if "full" in told or "busy" in told else "told"


def oversized(page: Served, n: int) -> str:
    return painted(page, bytes([n]) * 6_000_000, "huge.jpg")


def many_parts(page: Served, n: int) -> str:
    part = '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n'
    body = part.encode() * 3000 + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return f"refused {page.ask('/gradio_api/upload', body=body, headers=headers)[0]}"


def gone_in_the_middle(page: Served, n: int) -> str:
    with socket.create_connection(("127.0.0.1", page.port), 30) as line:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n"
        line.sendall(
            (head + "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n").encode() + b"a" * n
        )
    return "gone"


def climbing(page: Served, n: int) -> str:
    told = page.paint(f"/tmp/../etc/passwd{n}", *CHOSEN)
    return "refused 403" if told.startswith("403") else told


def deep(page: Served, n: int) -> str:
    body = b"[" * 500_000 + b"]" * 500_000
    status, _, _ = page.ask("/gradio_api/call/paint", body=body, headers={"Content-Type": "application/json"})
    return f"refused {status}"


HOSTILE: list[Callable[[Served, int], str]] = [
    oversized,
    many_parts,
    gone_in_the_middle,
    climbing,
    deep,
    lambda page, n: painted(page, BOMB, "bomb.png"),
    lambda page, n: painted(page, b"", "empty.jpg"),
    lambda page, n: painted(page, b"<svg onload='alert(1)'/>", "../../x.svg"),
    lambda page, n: painted(page, photo(n)[:5000], "cut.jpg"),
    lambda page, n: painted(page, b"<html>" * 1000, "x.html"),
]


def visitor(page: Served, n: int) -> tuple[str, str]:
    if n % 5 == 4:
        attack = HOSTILE[n // 5 % len(HOSTILE)]
        return "hostile", attack(page, n)
    if n % 25 == 1:
        return "large", painted(page, LARGE, "large.jpg")
    return "photo", painted(page, photo(n), f"{n}.jpg")


class Memory:
    """Reads the resident memory of a process ten times a second, and keeps the most."""

    def __init__(self, page: Served) -> None:
        self.page, self.most, self._ended = page, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, self.page.rss)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_fifty_at_once_are_all_answered_in_bounded_memory(tmp_path: Path) -> None:
    limits = ("max_upload=5", "max_pixels=7000000", "max_disk=200", "queue=20", "keep=2")
    with served(tmp_path, checkpoints(tmp_path), *limits, OMP_NUM_THREADS="1") as page:
        assert painted(page, photo(0), "first.jpg") == "painted"
        start = page.rss
        ends: list[float] = []
        for wave in range(2):
            begun = time.monotonic()
            with Memory(page) as memory, ThreadPoolExecutor(VISITORS) as pool:
                answers = list(pool.map(lambda n: visitor(page, n), range(VISITORS), timeout=900))
            found = Counter(answers)
            log.info("wave %d: %.0f s, %s", wave, time.monotonic() - begun, dict(found))
            log.info("MiB: %.0f before, %.0f at most, %.0f after", start, memory.most, page.rss)
            assert len(answers) == VISITORS
            good = Counter(kind for who, kind in answers if who != "hostile")
            assert set(good) <= {"painted", "busy"}, found
            bad = Counter(kind for who, kind in answers if who == "hostile")
            assert set(bad) <= {*(f"refused {n}" for n in (400, 403, 413, 422)), "told", "gone", "busy"}, bad
            # As many as may wait, and not one less: the places were theirs, or an attacker's that was told.
            assert good["painted"] + bad["told"] >= 20, found
            assert good["painted"] >= 14, found
            assert page.process.poll() is None
            assert memory.most < start + ABOVE
            ends.append(page.rss)
        log.info("a picture alone, afterwards: %s", painted(page, photo(1), "after.jpg"))
        assert ends[1] < ends[0] + 150  # a second wave takes no more than the first left
        assert painted(page, photo(1), "after.jpg") == "painted"
        assert page.ask("/")[0] == 200
        assert "Traceback" not in "".join(page.said), "".join(page.said)
        assert page.interrupt() == 130
