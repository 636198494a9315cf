"""A served page: its checkpoints, its process, and what a visitor sends."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import signal
import struct
import subprocess
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from commands import command, environment
from styled import checkpoint, styled
from toonlab.engine.checkpoint import write_imported
from toonlab.networks.unet import UNet

UNET = {"_target_": "toonlab.networks.unet.UNet", "width": 4, "blocks": 1}


def filtered(path: Path, *, seed: int = 0, texture: float = 1.0, name: str | None = "whitebox") -> Path:
    """Write a narrow White-box that was trained with `texture` as that weight, with an output filter."""
    torch.manual_seed(seed)
    network = UNet(width=4, blocks=1)
    for parameter in network.parameters():
        parameter.data *= 3
    weights = {"texture": texture, "structure": 1.0, "surface": 1.0}
    config = {"method": {"generator": UNET, "weights": weights}, "data": {"kind": "x"}}
    config |= {} if name is None else {"name": name}
    origin = {"file": "x", "sha256": "0" * 64, "kind": "trained", "channels": "rgb"}
    painting = {"output_filter": {"radius": 1, "eps": 0.01}, "direction": "to_cartoon"}
    write_imported(path, network.state_dict(), painting=painting, config=config, origin=origin)
    return path


def checkpoints(folder: Path) -> str:
    """Write a model of two emphases and one of two styles; return them as `ckpt=…`."""
    for number, texture in enumerate((1.0, 3.0)):
        filtered(folder / f"{number}_whitebox" / "checkpoints" / "last.ckpt", seed=number, texture=texture)
    both = checkpoint(folder / "styles.ckpt", styled("anna", "bert"))
    return f"ckpt=[{folder / '0_whitebox'},{folder / '1_whitebox'},{both}]"


def bomb(side: int) -> bytes:
    """A PNG whose header promises `side` by `side` pixels; there is nothing in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@dataclasses.dataclass
class Served:
    """A page's process."""

    process: subprocess.Popen[str]
    port: int
    said: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss(self) -> float:
        """Resident MiB now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def ask(
        self,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> tuple[int, bytes, dict[str, str]]:
        """Send one request as it stands, nothing of its path tidied."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            line.putrequest("GET" if body is None else "POST", path, skip_host="Host" in (headers or {}))
            for name, value in (headers or {}).items():
                line.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                line.putheader("Content-Length", str(len(body)))
            line.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.send(body or b"")  # refused before it was all said: the answer is there
            answer = line.getresponse()
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            line.close()

    def call(self, path: str, data: Any, **more: Any) -> tuple[int, Any]:
        body = json.dumps(data).encode()
        status, answer, _ = self.ask(path, body=body, headers={"Content-Type": "application/json"}, **more)
        return status, json.loads(answer) if answer else None

    def send(self, content: bytes, name: str, **more: Any) -> tuple[int, bytes]:
        """Upload one file."""
        mark = uuid.uuid4().hex
        about = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        head = f"--{mark}\r\n{about}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        status, answer, _ = self.ask("/gradio_api/upload", body=body, headers=headers, **more)
        return status, answer

    def upload(self, content: bytes, name: str) -> str:
        status, answer = self.send(content, name)
        assert status == 200, answer
        return str(json.loads(answer)[0])

    def paint(self, uploaded: str, *rest: Any, name: str = "paint", seconds: float = 120) -> Any:
        """Call `/paint` as curl would; returns its outputs, or the error's line."""
        data = [{"path": uploaded, "meta": {"_type": "gradio.FileData"}}, *rest]
        status, answer = self.call(f"/gradio_api/call/{name}", {"data": data})
        if status != 200:
            return f"{status}: {answer['detail']}"
        _, events, _ = self.ask(f"/gradio_api/call/{name}/{answer['event_id']}", seconds=seconds)
        kind, said = re.findall(r"event: (\w+)\ndata: (.*)", events.decode())[-1]
        told = json.loads(said)
        return told if kind == "complete" else told["error"]

    def file(self, about: Mapping[str, Any]) -> bytes:
        status, content, _ = self.ask(f"/gradio_api/file={quote(about['path'])}")
        assert status == 200, content
        return content

    def interrupt(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def served(tmp_path: Path, *arguments: str, **more: str) -> Iterator[Served]:
    """Start the page on a free port; it is ended afterwards."""
    process = subprocess.Popen(
        command("serve", *arguments, "port=auto", "device=cpu"),
        cwd=tmp_path,
        env=environment(tmp_path, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A runner in the background would hand "ignore Ctrl-C" down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")), daemon=True)  # type: ignore[union-attr, arg-type]
    reader.start()
    try:
        for _ in range(1200):
            if found := re.search(r"http://[^:]+:(\d+)", "".join(said)):
                break
            assert process.poll() is None, "".join(said)
            time.sleep(0.1)
        else:
            raise AssertionError("".join(said))
        yield Served(process, int(found[1]), said)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        reader.join(5)
