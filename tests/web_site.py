"""The page of one tiny network, served as `python -m http.server` serves, and a tab of a browser with it."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from chromium import CAMERA
from toonlab.engine.checkpoint import write_imported
from toonlab.networks.unet import UNet

FLAGS = [
    *CAMERA,
    # A graphics card in software, which only ?runs=webgpu takes.
    "--enable-unsafe-webgpu",
    "--enable-unsafe-swiftshader",
    "--use-webgpu-adapter=swiftshader",
]
FAKE = {"ort.wasm.min.mjs": b"export const env = {};\n", "ort-wasm-simd-threaded.wasm": b"\0asm" + bytes(100)}
FILTER = {"radius": 1, "eps": 5e-3}


def tiny_checkpoint(path: Path) -> Path:
    """A UNet of width 4 with weights large enough to paint something else than grey."""
    torch.manual_seed(0)
    network = UNet(width=4, blocks=1)
    for parameter in network.parameters():
        parameter.data *= 1.5
    node = {"_target_": "toonlab.networks.unet.UNet", "width": 4, "blocks": 1}
    origin = {
        "file": "tiny.pth",
        "sha256": "1" * 64,
        "kind": "whitebox",
        "channels": "rgb",
        "licence": "CC0-1.0",
    }
    config = {"method": {"generator": node}, "name": "whitebox"}
    write_imported(
        path, network.state_dict(), painting={"output_filter": FILTER}, config=config, origin=origin
    )
    return path


KNOWN = {name: hashlib.sha256(content).hexdigest() for name, content in FAKE.items()}


def fake_runtime(folder: Path) -> Path:
    """Write a package that is none, whose files are `KNOWN`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FAKE.items():
        (folder / name).write_bytes(content)
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Isolated(_Quiet):
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def served(folder: Path, *, isolated: bool = False) -> Iterator[str]:
    """Yield the address of a plain file server, or of one whose pages may use threads."""
    handler = functools.partial(_Isolated if isolated else _Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Page:
    """A tab with the page, and everything that it asked of another host or complained of."""

    def __init__(self, browser: Any, address: str, query: str = "?runs=wasm", **context: Any) -> None:
        self.address = address
        self.trouble: list[str] = []
        self.asked: list[str] = []
        self.tab = browser.new_context(**context).new_page()
        self.tab.set_default_timeout(60_000)
        self.tab.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.tab.context.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(address + query)
        self.tab.wait_for_selector("html[data-loaded]")

    def last(self) -> int:
        return int(self.tab.evaluate("document.documentElement.dataset.painted ?? 0"))

    def paint(self, picture: Path | dict[str, Any]) -> np.ndarray:
        """Choose a file, wait, and return the cartoon as `(H, W, 3)` bytes."""
        before = self.last()
        self.tab.set_input_files("#file", picture)
        self.wait_beyond(before)
        return self.pixels()[..., :3]

    def wait_beyond(self, before: int) -> None:
        self.tab.wait_for_function(
            "before => Number(document.documentElement.dataset.painted ?? 0) > before", arg=before
        )

    def pixels(self, canvas: str = "after") -> np.ndarray:
        """Read a canvas as `(H, W, 4)` bytes."""
        uri = self.tab.evaluate(f"document.getElementById('{canvas}').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))

    def text(self, name: str) -> str:
        return str(self.tab.inner_text(f"#{name}")) if self.tab.is_visible(f"#{name}") else ""


def as_file(picture: Image.Image, name: str = "photo.png", **options: Any) -> dict[str, Any]:
    """A picture as Playwright takes a file from memory."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG" if name.endswith("jpg") else "PNG", **options)
    kind = "image/jpeg" if name.endswith("jpg") else "image/png"
    return {"name": name, "mimeType": kind, "buffer": buffer.getvalue()}
