"""Which files of a folder are usable images, found out once and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from toonlab.errors import UsageError
from toonlab.images import EXTENSIONS, BadImageError, decode

log = logging.getLogger(__name__)

T = TypeVar("T")

_PROGRESS_FROM = 200  # files; fewer are checked before a bar could be read
_NAMED = 20  # rejected files that a report names; the count is always exact


@dataclass(frozen=True)
class Index:
    """What a folder holds: `files` by relative path, their `sizes` (width, height), and what was passed over.

    `rejected` says why; `ignored` counts files that are no images by extension.
    """

    folder: Path
    files: list[Path]
    rejected: dict[Path, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)


class _Verdict(NamedTuple):
    """A decoded file's size in pixels, or why it could not be decoded."""

    width: int
    height: int
    reason: str


def scan(folder: str | Path | None, *, what: str, min_side: int, cache_dir: Path | None) -> Index:
    """Find the images of a folder and its subfolders, each decoded once to be sure of it.

    Links to folders are followed; hidden files and folders are passed over. A later scan decodes only
    files whose size or time changed.

    Args:
        folder: where to look.
        what: the key that names the folder, for messages: `photos`, `cartoons`, ...
        min_side: pixels; images with a shorter side are rejected.
        cache_dir: keeps the verdicts; None decodes every time.

    Raises:
        UsageError: no folder given, no such folder, or no usable image in it.
    """
    root = _root(folder, what)
    found, ignored = _list(root)
    index = Index(root, [], {}, ignored)
    for path, verdict in zip(found, _verdicts(root, found, what, cache_dir), strict=True):
        if verdict.reason:
            index.rejected[path] = verdict.reason
        elif min(verdict.width, verdict.height) < min_side:
            index.rejected[path] = f"{verdict.width}x{verdict.height}, smaller than {min_side}"
        else:
            index.files.append(path)
            index.sizes[path] = verdict.width, verdict.height
    if not index.files:
        wanted = " ".join(sorted(extension.removeprefix(".") for extension in EXTENSIONS))
        seen = _rejections(index) or "no such file"
        raise UsageError(
            f"{what}={folder} holds no usable image; looked in it and its subfolders for {wanted}, "
            f"found: {seen}{_ignorance(index)}"
        )
    return index


def find_images(folder: str | Path | None, *, what: str) -> tuple[list[Path], Counter[str]]:
    """Find files that are named like images, as `scan` does, without looking into them.

    Returns:
        Absolute paths sorted by relative path, and a count of the other files by extension.

    Raises:
        UsageError: no folder given, no such folder, or no such file in it.
    """
    root = _root(folder, what)
    found, ignored = _list(root)
    if not found:
        raise UsageError(f"{what}={folder} holds no image{_ignorance(Index(root, [], {}, ignored))}")
    return found, ignored


def report(index: Index, what: str) -> None:
    """Log one warning about everything that was passed over; nothing if all is well."""
    total = len(index.files) + len(index.rejected)
    if index.rejected:
        log.warning(
            "%s: skipped %d of %d files in %s: %s%s",
            *(what, len(index.rejected), total, index.folder, _rejections(index), _ignorance(index)),
        )
    elif index.ignored:
        log.warning("%s: %d images in %s%s", what, total, index.folder, _ignorance(index))


def split(files: Sequence[T], shares: Mapping[str, float], what: str) -> dict[str, list[T]]:
    """Cut a sorted list into contiguous blocks, one for each name, of about these shares.

    Blocks rather than a draw: neighbours in a sorted folder are often frames of one film, nearly equal,
    and a draw would put one of each pair on either side. Every block has a file at least; with fewer
    files than blocks all blocks share all files, and a warning says so.

    Args:
        files: in the order of the folder; or pairs of them.
        shares: positive, in the order of the blocks; only their ratios matter.
        what: the key that names the folder, for the warning.
    """
    n, parts = len(files), len(shares)
    if n < parts:
        names = ", ".join(shares)
        log.warning("%s: %d files are too few to tell %s apart; all use the same", what, n, names)
        return {name: list(files) for name in shares}
    total, covered, start, blocks = sum(shares.values()), 0.0, 0, dict[str, list[T]]()
    for i, (name, share) in enumerate(shares.items(), start=1):
        covered += share
        end = min(max(round(covered / total * n), start + 1), n - (parts - i))
        blocks[name] = list(files[start:end])
        start = end
    return blocks


def _root(folder: str | Path | None, what: str) -> Path:
    if not folder:
        raise UsageError(f"no folder of {what} given; pass {what}=DIR")
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "does not exist"
        raise UsageError(f"{what}={folder} {problem}; pass {what}=DIR, a folder of images")
    return root


def _list(root: Path) -> tuple[list[Path], Counter[str]]:
    """Return image paths in sorted order, and a count of the other files' extensions."""
    found, ignored, visited = list[Path](), Counter[str](), set[str]()
    for parent, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:  # a link to where we have been: a loop, or the same images twice
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() in EXTENSIONS:
                found.append(path)
            else:
                ignored[path.suffix.lower() or "no extension"] += 1
    return sorted(found, key=lambda path: path.relative_to(root).parts), ignored


def _verdicts(root: Path, paths: list[Path], what: str, cache_dir: Path | None) -> list[_Verdict]:
    """Judge each file, from the cache where size and time are as they were."""
    keys = [_key(root, path) for path in paths]
    cache = (
        cache_dir
        and cache_dir / f"images-{hashlib.blake2b(str(root).encode(), digest_size=8).hexdigest()}.json"
    )
    known = _read(cache) if cache else {}
    new = [(key, path) for key, path in zip(keys, paths, strict=True) if key not in known]
    # Pillow lets go of the interpreter while it decodes, so threads are enough.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        bar = tqdm(
            pool.map(_judge, (path for _, path in new)),
            total=len(new),
            desc=f"checking {what}",
            unit="file",
            disable=len(new) < _PROGRESS_FROM,
        )
        known |= {key: verdict for (key, _), verdict in zip(new, bar, strict=True)}
    current = {key: known[key] for key in keys}
    if cache and new:
        _write(cache, current)
    return list(current.values())


def _key(root: Path, path: Path) -> str:
    try:
        state = path.stat()
    except OSError:  # a dangling link; decoding will say so
        return str(path.relative_to(root))
    return f"{path.relative_to(root)}|{state.st_size}|{state.st_mtime_ns}"


def _judge(path: Path) -> _Verdict:
    try:
        return _Verdict(*decode(path).rgb.size, "")
    except BadImageError as error:
        return _Verdict(0, 0, str(error))


def _read(cache: Path) -> dict[str, _Verdict]:
    try:
        return {key: _Verdict(*row) for key, row in json.loads(cache.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, OSError):
        log.warning("%s is damaged; checking the images again", cache)
        return {}


def _write(cache: Path, verdicts: Mapping[str, _Verdict]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Ranks may write at once: each its own file, and the last one stays.
    part = cache.with_name(f".{cache.name}.{os.getpid()}")
    part.write_text(json.dumps(verdicts))
    part.replace(cache)


def _rejections(index: Index) -> str:
    rows = [f"{path.relative_to(index.folder)} ({why})" for path, why in index.rejected.items()]
    more = [f"and {len(rows) - _NAMED} more"] if len(rows) > _NAMED else []
    return ", ".join(rows[:_NAMED] + more)


def _ignorance(index: Index) -> str:
    if not index.ignored:
        return ""
    kinds = ", ".join(f"{n} {extension}" for extension, n in sorted(index.ignored.items()))
    return f"; ignored {index.ignored.total()} files that are not images ({kinds})"
