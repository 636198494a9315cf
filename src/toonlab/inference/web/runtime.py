"""ONNX Runtime Web for our folder: fetched once by npm, held against known hashes, kept compressed."""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from toonlab.engine.whole import whole_folder
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

PACKAGE = "onnxruntime-web"
LICENCE = """\
MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
"""The package states "MIT" and its owner in its files, and comes without the text."""


def runtime_files(
    known: Mapping[str, str], *, version: str, cache_dir: Path, folder: Path | None
) -> dict[str, bytes]:
    """Return the files of `ort/` by name, as the page fetches them.

    A `.wasm` is compressed, because a plain file server would send four times as much. An `.mjs` is called
    `.js`, which every server knows to be a script.

    Args:
        known: sha256 of each file of the package's `dist/`, by name; others are left out.
        version: of the package.
        cache_dir: is asked first, and keeps them.
        folder: the unpacked package; None lets npm fetch it.

    Raises:
        UsageError: npm is not there or fails, or a file is missing or not the known one.
    """
    kept = cache_dir / f"{PACKAGE}-{version}"
    if folder is not None:
        _keep(_from_folder(folder, known), known, kept, where=f"ort={folder}")
    elif not all((kept / _kept(name)).is_file() for name in known):
        with tempfile.TemporaryDirectory() as work:
            tarball = _packed(version, Path(work))
            _keep(_from_tarball(tarball, known), known, kept, where=f"{PACKAGE}@{version} from npm")
    files = {name: (kept / _kept(name)).read_bytes() for name in known}
    for name, content in files.items():
        whole = _expanded(content) if name.endswith(".wasm") else content
        if hashlib.sha256(whole).hexdigest() != known[name]:
            raise UsageError(f"{kept / _kept(name)}: damaged; delete {kept} and export again")
    return {_kept(name): content for name, content in files.items()} | {"LICENSE.txt": LICENCE.encode()}


def _kept(name: str) -> str:
    return f"{name}.gz" if name.endswith(".wasm") else f"{Path(name).stem}.js"


def _expanded(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError):
        return b""


def _packed(version: str, work: Path) -> Path:
    """Have npm fetch the package; return its tarball in `work`."""
    npm = shutil.which("npm")
    remedy = f"or unpack {PACKAGE} {version} yourself and give ort=FOLDER"
    if npm is None:
        raise UsageError(f"kind=web: npm is needed once, to fetch {PACKAGE}: install Node.js, {remedy}")
    log.info("npm fetches %s %s, once (some 33 MB)", PACKAGE, version)
    command = [npm, "pack", f"{PACKAGE}@{version}", "--silent", "--pack-destination", str(work)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)  # noqa: S603
    tarballs = sorted(work.glob("*.tgz"))
    if done.returncode or not tarballs:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise UsageError(
            f"kind=web: npm could not fetch {PACKAGE}@{version} ({lines[0].strip()}): see to the network, "
            f"{remedy}"
        )
    return tarballs[0]


def _from_tarball(tarball: Path, known: Mapping[str, str]) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(tarball) as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in known and member.isfile() and (content := archive.extractfile(member)):
                    found[name] = content.read()
    except tarfile.TarError as error:
        raise UsageError(f"kind=web: npm's {tarball.name} is damaged ({error}); try again") from error
    return found


def _from_folder(folder: Path, known: Mapping[str, str]) -> dict[str, bytes]:
    places = (folder, folder / "dist", folder / "package" / "dist")
    place = next((place for place in places if (place / next(iter(known))).is_file()), None)
    if place is None:
        raise UsageError(
            f"ort={folder}: holds no {next(iter(known))}; give the folder of {PACKAGE}, unpacked"
        )
    return {name: (place / name).read_bytes() for name in known if (place / name).is_file()}


def _keep(found: Mapping[str, bytes], known: Mapping[str, str], kept: Path, *, where: str) -> None:
    """Write known files to the cache, whole or not at all."""
    for name, sha256 in known.items():
        if name not in found:
            raise UsageError(f"{where}: has no {name}; web.version and web.runtime have to name one release")
        if (got := hashlib.sha256(found[name]).hexdigest()) != sha256:
            raise UsageError(
                f"{where}: {name} is not the known file (its sha256 begins with {got[:12]}, known is "
                f"{sha256[:12]}); web.version and web.runtime have to name one release"
            )
    with whole_folder(kept) as part:
        for name in known:
            content = found[name]
            packed = gzip.compress(content, 9, mtime=0) if name.endswith(".wasm") else content
            (part / _kept(name)).write_bytes(packed)
