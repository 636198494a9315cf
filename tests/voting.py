"""A small vote: pictures of plain colours, and a server of it in this process."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from toonlab.votes.api import Api
from toonlab.votes.design import Mode
from toonlab.votes.manifest import Manifest, Model, Photo
from toonlab.votes.server import Server
from toonlab.votes.store import Store

NAMES = ("alpha_net", "beta_net", "gamma_net")


def manifest_of(mode: Mode = "pick", *, models: int = 3, photos: int = 4, **changes: Any) -> Manifest:
    arguments: dict[str, Any] = {
        "question": "Which is best?",
        "seed": 0,
        "max_side": 640,
        "photos_dir": "photos",
        "models": tuple(
            Model(name=name, kind="checkpoint", source=f"/runs/{name}/checkpoints/best.ckpt", sha256=name)
            for name in NAMES[:models]
        ),
        "photos": tuple(Photo(name=f"photo_{i}.png", sha256=str(i)) for i in range(photos)),
    }
    return Manifest(mode=mode, **(arguments | changes))


def begun(folder: Path, manifest: Manifest | None = None) -> Store:
    """Begin a vote, with a picture for each of its names."""
    store = Store(folder)
    store.begin(manifest or manifest_of())
    (folder / "pictures").mkdir()
    for (photo, model), token in store.tokens().items():
        colour = (40 * photo, 60 * (0 if model is None else model + 1), 128)
        Image.new("RGB", (120, 80), colour).save(folder / "pictures" / f"{token}.png")
    return store


@contextmanager
def served(store: Store, port: int = 0) -> Iterator[Server]:
    """Serve it until the end of the block, by default on a free port."""
    server = Server(Api(store), store.folder / "pictures", host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Visitor:
    """A browser without a screen: keeps its cookie, sends what it is told to."""

    def __init__(self, server: Server) -> None:
        self.port, self.cookie = server.server_address[1], ""

    def get(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, raw, {"Content-Type": "application/json"} | headers)

    def send(
        self, verb: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, body (parsed if it is JSON) and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        cookies = {"Cookie": self.cookie} if self.cookie else {}
        connection.request(verb, path, body, cookies | named)
        answer = connection.getresponse()
        content, told = answer.read(), dict(answer.getheaders())
        connection.close()
        if "Set-Cookie" in told:
            self.cookie = told["Set-Cookie"].partition(";")[0]
        is_json = told.get("Content-Type") == "application/json"
        return answer.status, json.loads(content) if is_json else content, told

    def enter(self, name: str) -> dict[str, Any]:
        status, told, _ = self.post("/api/rater", {"name": name})
        assert status == 200, told
        question: dict[str, Any] = told
        return question

    def vote(self, question: dict[str, Any], place: int, **changes: Any) -> dict[str, Any]:
        body = {"number": question["number"], "place": place, "replaces": question["replaces"]}
        status, told, _ = self.post("/api/vote", body | {"milliseconds": 900} | changes)
        assert status == 200, told
        answer: dict[str, Any] = told
        return answer
