"""ONNX Runtime Web is fetched once, held against known hashes, and never taken on trust."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from toonlab.errors import UsageError
from toonlab.inference.web.runtime import runtime_files

CONTENT = {"ort.wasm.min.mjs": b"export const one = 1;\n", "ort-wasm.wasm": b"\0asm" + bytes(1000)}
KNOWN = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "dist").mkdir(parents=True)
    for name, content in {**CONTENT, "ort.webgl.js": b"not wanted"}.items():
        (folder / "dist" / name).write_bytes(content)
    return folder


def fetched(tmp_path: Path, folder: Path | None = None, **changes: str) -> dict[str, bytes]:
    return runtime_files(KNOWN | changes, version="1.2.3", cache_dir=tmp_path / "cache", folder=folder)


def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a command called npm where it is found, alone but for the shell's own."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def tarball(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("inner", ["", "dist"])
def test_an_unpacked_package_is_taken_and_kept(tmp_path: Path, package: Path, inner: str) -> None:
    files = fetched(tmp_path, package / inner)
    assert set(files) == {"ort.wasm.min.js", "ort-wasm.wasm.gz", "LICENSE.txt"}
    assert files["ort.wasm.min.js"] == CONTENT["ort.wasm.min.mjs"]
    assert gzip.decompress(files["ort-wasm.wasm.gz"]) == CONTENT["ort-wasm.wasm"]
    assert b"MIT License" in files["LICENSE.txt"]
    assert fetched(tmp_path) == files  # from the cache: there is no such version to fetch


def test_npm_fetches_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tarball(tmp_path / "source.tgz", CONTENT)
    npm(
        tmp_path,
        monkeypatch,
        f'echo "$@" >> {tmp_path}/calls\nshift 4\ncp {source} "$1/onnxruntime-web-1.2.3.tgz"',
    )
    files = fetched(tmp_path)
    assert files == fetched(tmp_path)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("pack onnxruntime-web@1.2.3 --silent --pack-destination ")


def test_one_byte_off_is_refused(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bytearray(CONTENT["ort-wasm.wasm"])
    wrong[-1] ^= 1
    (package / "dist" / "ort-wasm.wasm").write_bytes(wrong)
    with pytest.raises(UsageError, match=r"ort-wasm\.wasm is not the known file"):
        fetched(tmp_path, package)
    source = tarball(tmp_path / "source.tgz", CONTENT | {"ort-wasm.wasm": bytes(wrong)})
    npm(tmp_path, monkeypatch, f'cp {source} "$5/x.tgz"')
    with pytest.raises(UsageError, match=r"from npm: ort-wasm\.wasm is not the known file"):
        fetched(tmp_path)
    assert not (tmp_path / "cache").exists()  # nothing of it was kept


@pytest.mark.parametrize(
    "damage", [b"", b"\x1f\x8bxx", gzip.compress(b"something else")], ids=["empty", "cut", "another"]
)
def test_a_damaged_cache_is_noticed(tmp_path: Path, package: Path, damage: bytes) -> None:
    fetched(tmp_path, package)
    kept = tmp_path / "cache" / "onnxruntime-web-1.2.3" / "ort-wasm.wasm.gz"
    kept.write_bytes(damage)
    with pytest.raises(UsageError, match=r"ort-wasm\.wasm\.gz: damaged; delete "):
        fetched(tmp_path)


def test_no_npm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UsageError, match=r"npm is needed once.*install Node\.js, or unpack .* give ort=FOLDER"
    ) as told:
        fetched(tmp_path)
    assert "\n" not in str(told.value)


def test_an_npm_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, monkeypatch, "echo 'npm error code ENOTFOUND' >&2\necho more >&2\nexit 1")
    with pytest.raises(UsageError, match=r"could not fetch .*ENOTFOUND.*ort=FOLDER") as told:
        fetched(tmp_path)
    assert "\n" not in str(told.value)


def test_what_npm_delivers_may_be_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, monkeypatch, 'echo nothing > "$5/x.tgz"')
    with pytest.raises(UsageError, match=r"x\.tgz is damaged"):
        fetched(tmp_path)


def test_another_release_lacks_files(tmp_path: Path, package: Path) -> None:
    (package / "dist" / "ort-wasm.wasm").unlink()
    with pytest.raises(UsageError, match=r"has no ort-wasm\.wasm; web\.version and web\.runtime"):
        fetched(tmp_path, package)
    with pytest.raises(UsageError, match=r"holds no ort\.wasm\.min\.mjs; give the folder of onnxruntime-web"):
        fetched(tmp_path, tmp_path / "nothing")
