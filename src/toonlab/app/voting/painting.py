"""Every photo painted by every model, once, into files whose names say nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from toonlab import images
from toonlab.app.painter import stylizer
from toonlab.app.voting.entrants import loading
from toonlab.data.folders import report, scan
from toonlab.digests import file_sha256
from toonlab.errors import UsageError
from toonlab.inference.stylizer import Stylizer
from toonlab.keyed import permutation
from toonlab.votes.manifest import Manifest, Model, Photo

log = logging.getLogger(__name__)

PICTURES = "pictures"


def photos_in(folder: str, *, count: int | None, seed: int) -> tuple[Path, tuple[Photo, ...]]:
    """Return a folder, and the photos of it and its subfolders, each known by its content.

    Args:
        folder: where to look.
        count: take so many, drawn by the seed; None: all.
        seed: see there.

    Raises:
        UsageError: no such folder, no image in it, or fewer than `count`.
    """
    index = scan(folder, what="photos", min_side=16, cache_dir=None)
    report(index, "photos")
    paths = index.files
    if count is not None:
        if not 1 <= count <= len(paths):
            raise UsageError(f"count={count}: photos={folder} holds {len(paths)}")
        paths = [paths[i] for i in sorted(permutation(len(paths), seed, "count")[:count])]
    found = [
        Photo(name=path.relative_to(index.folder).as_posix(), sha256=file_sha256(path))
        for path in tqdm(paths, desc="reading photos", unit="photo", delay=1)
    ]
    return index.folder, tuple(found)


def paint_all(
    manifest: Manifest,
    tokens: Mapping[tuple[int, int | None], str],
    folder: Path,
    *,
    device: torch.device,
    tile: int | None,
) -> None:
    """Paint what is not painted yet; each file appears whole, so an interrupted call is gone on with.

    Args:
        manifest: says what, and with what.
        tokens: the files' names.
        folder: of the vote; pictures go into its `pictures`.
        device: what paints.
        tile: as `Stylizer` takes it.

    Raises:
        UsageError: a photo or a network has gone, has changed, or cannot be used.
    """
    todo = {
        model: [
            photo
            for photo in range(len(manifest.photos))
            if not _file(folder, tokens[photo, model]).is_file()
        ]
        for model in (None, *range(len(manifest.models)))
    }
    missing = sum(map(len, todo.values()))
    with tqdm(total=missing, desc="painting", unit="picture", disable=not missing) as bar:
        for model, photos in todo.items():
            if not photos:
                continue
            ready = None if model is None else _painter(manifest.models[model], device, tile)
            for photo in photos:
                picture, profile = _shown(manifest, photo)
                if ready is not None:
                    painted = ready.paint(images.to_tensor(picture)[None])[0]
                    picture = images.to_picture(painted)
                # Pixels and the photo's colour profile: no EXIF, no text, nothing that tells who painted it.
                options = {"icc_profile": profile} if profile else {}
                images.save(picture, _file(folder, tokens[photo, model]), compress_level=4, **options)
                bar.update()


def _painter(model: Model, device: torch.device, tile: int | None) -> Stylizer | None:
    load = loading(model)
    if load is None:
        return None
    if model.kind == "checkpoint":
        path = Path(model.source)
        if not path.is_file() or file_sha256(path) != model.sha256:
            raise UsageError(f"{path}: {model.name} is not there any more as it was when this vote began")
    strength = float(model.settings.get("strength", 1.0))
    # A method without weights works on whole pictures in bounded memory.
    return stylizer(load(), device=device, tile=None if model.kind == "method" else tile, strength=strength)


def _shown(manifest: Manifest, number: int) -> tuple[Image.Image, bytes | None]:
    """Return the photo as all see it, the networks too: upright, on white, no larger than `max_side`."""
    photo = manifest.photos[number]
    path = Path(manifest.photos_dir) / photo.name
    if not path.is_file() or file_sha256(path) != photo.sha256:
        raise UsageError(f"{path}: the photo is not there any more as it was when this vote began")
    try:
        picture = images.decode(path)
    except images.BadImageError as error:
        raise UsageError(f"{path}: {error}; take it out of photos=… and begin another vote") from error
    opaque = images.on_white(picture)
    opaque.thumbnail((manifest.max_side, manifest.max_side), Image.Resampling.LANCZOS)
    return opaque, picture.icc_profile


def _file(folder: Path, token: str) -> Path:
    return folder / PICTURES / f"{token}.png"
