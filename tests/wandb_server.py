"""A W&B server of a few lines on this machine: keeps what the real `wandb sync` uploads to it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Received:
    """One synced run: what it was created with, its history rows, its files, its end."""

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.exit_code: int | None = None


def sync(folder: Path, home: Path) -> Received:
    """Run `wandb sync FOLDER` against the server."""
    got = Received()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(got))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    alone = {"WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40, "HOME": str(home), "no_proxy": "127.0.0.1"}
    try:
        subprocess.run(
            [sys.executable, "-m", "wandb", "sync", "--yes", str(folder)],
            env=os.environ | alone,
            check=True,
            capture_output=True,
            timeout=120,
        )
    finally:
        server.shutdown()
        server.server_close()
    return got


def _handler(got: Received) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_PUT(self) -> None:
            got.files[self.path.removeprefix("/put/")] = self._body()
            self._answer({})

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self._body()
            if self.path == "/graphql":
                asked = json.loads(body)
                self._answer({"data": _data(asked["query"], asked.get("variables") or {}, got, self._url())})
                return
            if self.path.endswith("/file_stream"):
                _take(json.loads(body), got)
            self._answer({})

        def _url(self) -> str:
            host, port = self.server.server_address[:2]
            return f"http://{host}:{port}"

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _answer(self, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _take(stream: dict[str, Any], got: Received) -> None:
    rows = stream.get("files", {}).get("wandb-history.jsonl", {}).get("content", ())
    got.history += [json.loads(row) for row in rows]
    if stream.get("complete"):
        got.exit_code = stream["exitcode"]


def _data(query: str, given: dict[str, Any], got: Received, url: str) -> dict[str, Any]:
    if "upsertBucket" in query:
        got.run |= {key: value for key, value in given.items() if value is not None}
        got.config |= {key: item["value"] for key, item in json.loads(given.get("config") or "{}").items()}
        project = {"id": "p", "name": given.get("project"), "entity": {"id": "e", "name": "someone"}}
        bucket = {"id": "b", "name": given.get("name"), "displayName": given.get("displayName")}
        rest = {"description": None, "config": "{}", "sweepName": None, "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket | rest | {"project": project}, "inserted": True}}
    if "createRunFiles" in query:
        files = [{"name": name, "uploadUrl": f"{url}/put/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
    return {"viewer": {"id": "1", "username": "someone", "entity": "someone", "flags": "{}"}}
