"""A bank on disk: made once for a generator and its photos, a few at a time, and found again by content."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from toonlab import images
from toonlab.errors import UsageError
from toonlab.representations.inpainting.bank import LatentBank, deviation, pool_all, to_half

log = logging.getLogger(__name__)

Encode = Callable[[Tensor], Tensor]
"""Photos `(B, 3, H, W)` in [-1, 1] to latents `(B, C, h, w)`."""

_FORMAT = 1  # part of every key: raise it when the files' meaning changes
MAPS, POOLED, ABOUT, PROGRESS = "maps.npy", "pooled.npy", "about.json", "progress.json"


def weights_key(state: Mapping[str, Tensor]) -> str:
    """Return a hash of a network's state dict, names and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return digest.hexdigest()


def open_bank(
    photos: Sequence[Path],
    *,
    encode: Encode,
    key: str,
    size: int,
    cache_dir: Path,
    batch_size: int = 4,
    progress: bool = True,
    **options: Any,
) -> LatentBank:
    """Return the bank of these photos, made now if it is not on disk yet.

    It lies in `cache_dir/banks/<hash of key, size and the photos' contents>`, so that a copied photo folder
    finds it and a changed photo or other weights do not. A build that was stopped, even killed, goes on
    where it was; two processes that want the same bank build it once.

    Args:
        photos: clean ones. Those that cannot be decoded are passed over, counted in a warning.
        encode: the generator's own.
        key: hash of its weights, see `weights_key`.
        size: pixels; the middle square of each photo is brought to this side.
        cache_dir: where banks are kept.
        batch_size: photos encoded at a time.
        progress: show a bar while building.
        options: to `LatentBank`: `exact_up_to`, `shortlist`.

    Raises:
        UsageError: no photo can be used, the disk is too small, or the bank on it is damaged.
    """
    if not photos:
        raise UsageError("bank: no photos to make it of; name a folder of clean photos with bank=DIR")
    folder = cache_dir / "banks" / _name(photos, key, size)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():  # it gets its name when it is whole
        lock = FileLock(folder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("bank: another process is making it; waiting for %s", folder)
            lock.acquire()
        try:
            if not folder.exists():
                _build(folder, list(photos), encode, size, batch_size, progress)
        finally:
            lock.release()
    return _read(folder, **options)


def _name(photos: Sequence[Path], key: str, size: int) -> str:
    digest = hashlib.blake2b(f"{_FORMAT} {key} {size}".encode(), digest_size=12)
    for content in sorted(map(_content, photos)):
        digest.update(content)
    return digest.hexdigest()


def _content(photo: Path) -> bytes:
    try:
        return hashlib.blake2b(photo.read_bytes()).digest()
    except OSError as error:  # a dangling link, say; without its content the bank has no name
        raise UsageError(f"bank: {photo}: cannot be read ({error.strerror}); mend or remove it") from error


def _read(folder: Path, **options: Any) -> LatentBank:
    try:
        about = json.loads((folder / ABOUT).read_text())
        photos, rejected, std = about["photos"], about["rejected"], torch.tensor(about["channel_std"])
        maps, pooled = np.load(folder / MAPS, mmap_mode="r")[: len(photos)], np.load(folder / POOLED)
    except (OSError, EOFError, ValueError, KeyError) as error:  # half a copy, a disk that failed
        raise UsageError(f"bank: {folder} is damaged ({error}); remove it, it is then made anew") from error
    if rejected:
        name, reason = next(iter(rejected.items()))
        log.warning("bank: %d photos passed over, such as %s: %s", len(rejected), name, reason)
    return LatentBank(maps=maps, pooled=pooled, channel_std=std, photos=photos, **options)


def _build(
    folder: Path, photos: list[Path], encode: Encode, size: int, batch_size: int, progress: bool
) -> None:
    """Encode what is not encoded yet, then give the folder its name."""
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(exist_ok=True)
    # By content, as the folder's name is: what was done before a stop is known by its place in this order.
    photos = sorted(photos, key=_content)
    state = _state(part)
    with tqdm(
        total=len(photos), initial=state["done"], desc="bank", unit="photo", disable=not progress
    ) as bar:
        while state["done"] < len(photos):
            few = photos[state["done"] : state["done"] + batch_size]
            good = list[tuple[Path, Tensor]]()
            for photo in few:
                try:
                    good.append((photo, _square(photo, size)))
                except images.BadImageError as error:
                    state["rejected"][str(photo)] = str(error)
            if good:
                with torch.inference_mode():
                    latents = to_half(encode(torch.stack([picture for _, picture in good])))
                _append(part, latents, len(state["photos"]), len(photos))
                state["photos"] += [str(photo) for photo, _ in good]
            state["done"] += len(few)
            _write(part / PROGRESS, state)  # after the maps: what it names is on disk
            bar.update(len(few))
    if not state["photos"]:
        shutil.rmtree(part)
        raise UsageError(f"bank: none of {len(photos)} photos can be decoded, such as {photos[0]}")
    maps = np.load(part / MAPS, mmap_mode="r")[: len(state["photos"])]
    np.save(part / POOLED, pool_all(maps))
    about = {"photos": state["photos"], "rejected": state["rejected"], "size": size}
    _write(part / ABOUT, {**about, "channel_std": deviation(maps).tolist()})
    (part / PROGRESS).unlink()
    part.replace(folder)


def _state(part: Path) -> dict[str, Any]:
    fresh = {"done": 0, "photos": [], "rejected": {}}
    try:
        state: dict[str, Any] = json.loads((part / PROGRESS).read_text())
    except (OSError, ValueError):
        return fresh
    return state if (part / MAPS).is_file() or not state["photos"] else fresh


def _append(part: Path, latents: Any, start: int, total: int) -> None:
    path = part / MAPS
    if start == 0:
        need, free = latents[0].nbytes * total, shutil.disk_usage(part).free
        if need > free:
            raise UsageError(
                f"bank: needs {need / 1e9:.1f} GB in {part.parent} and {free / 1e9:.1f} GB are free; "
                "name a folder of fewer photos, or another cache_dir=DIR"
            )
        maps = np.lib.format.open_memmap(path, "w+", np.float16, (total, *latents.shape[1:]))
    else:
        maps = np.load(path, mmap_mode="r+")
    maps[start : start + len(latents)] = latents
    maps.flush()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def _square(photo: Path, size: int) -> Tensor:
    page = images.on_white(images.decode(photo))
    return images.to_tensor(ImageOps.fit(page, (size, size), Image.Resampling.LANCZOS))
