"""Photos that come with their own cartoons."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from toonlab.data.collage import alignment
from toonlab.data.folders import Index
from toonlab.data.modules import FolderData
from toonlab.data.stream import Files
from toonlab.data.streamed import Parts, spaced
from toonlab.errors import UsageError, check_choice

log = logging.getLogger(__name__)

_PROPORTIONS = 0.02  # most two sides of a pair may differ in width / height; rounding to pixels stays below
_SAMPLED = 24  # images whose halves are compared
_ALIGNED = 0.3  # correlation of edges; docs/data.md has the distributions
_NAMED = 10  # files that a warning names; the counts are always exact


class Pair(NamedTuple):
    """Two files that show the same."""

    photo: Path
    cartoon: Path


class PairedData(FolderData):
    """Photos and cartoons of the same content, cut by the same square and mirrored together.

    Args:
        layout: `folders`: `photos` and `cartoons` hold files of equal stems (equal relative paths but for the
            extension); `concat`: every image of `source` is a photo and a cartoon side by side.
        photos: folder, for layout=folders; likewise `cartoons`, `val_photos` and `val_cartoons`.
        cartoons: folder.
        source: folder, for layout=concat.
        val_photos: folder of validation and test; the others are then all for training.
        val_cartoons: folder, likewise.
        val_source: folder, likewise.
        photo_side: `left` or `right`, of a concatenated image.
        **common: see `FolderData`.
    """

    paired = True

    def __init__(
        self,
        *,
        layout: Literal["folders", "concat"],
        photos: str | None = None,
        cartoons: str | None = None,
        source: str | None = None,
        val_photos: str | None = None,
        val_cartoons: str | None = None,
        val_source: str | None = None,
        photo_side: Literal["left", "right"] = "left",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_choice("data.layout", layout, ["folders", "concat"])
        check_choice("data.photo_side", photo_side, ["left", "right"])
        stray = {"concat": (photos, cartoons), "folders": (source,)}[layout]
        if any(stray):
            raise UsageError(
                "layout=concat reads source=DIR; photos=DIR and cartoons=DIR are for layout=folders"
                if layout == "concat"
                else "source=DIR is for layout=concat; add layout=concat, or give photos=DIR cartoons=DIR"
            )
        if layout == "folders" and (val_photos is None) != (val_cartoons is None):
            raise UsageError("held-out pairs need both folders: val_photos=DIR val_cartoons=DIR")
        self.layout, self.photo_side = layout, photo_side
        self.folders = {"": (photos, cartoons), "val_": (val_photos, val_cartoons)}
        self.sources = {"": source, "val_": val_source}

    def open(self) -> dict[str, Parts]:
        return self._from_folders() if self.layout == "folders" else self._from_concat()

    def _from_folders(self) -> dict[str, Parts]:
        held_out = self._pairs("val_") if self.folders["val_"][0] and self.split != "all" else None
        parts = self.divide(self._pairs(""), held_out, "photos")
        return {
            domain: {part: Files([getattr(pair, domain) for pair in pairs]) for part, pairs in parts.items()}
            for domain in Pair._fields
        }

    def _pairs(self, prefix: str) -> list[Pair]:
        photos, cartoons = self.folders[prefix]
        return match(self.index(photos, f"{prefix}photos"), self.index(cartoons, f"{prefix}cartoons"))

    def _from_concat(self) -> dict[str, Parts]:
        held_out = self._wide("val_") if self.sources["val_"] and self.split != "all" else None
        parts = self.divide(self._wide(""), held_out, "source")
        other = {"left": "right", "right": "left"}[self.photo_side]
        return {
            domain: {part: Halves(paths, side) for part, paths in parts.items()}
            for domain, side in (("photo", self.photo_side), ("cartoon", other))
        }

    def _wide(self, prefix: str) -> list[Path]:
        what = f"{prefix}source"
        index = self.index(self.sources[prefix], what)
        narrow = [path for path in index.files if index.sizes[path][0] // 2 < self.min_side]
        files = [path for path in index.files if index.sizes[path][0] // 2 >= self.min_side]
        if narrow:
            log.warning(
                "%s: skipped %s", what, _named(narrow, index, f"halves narrower than {self.min_side}")
            )
        if not files:
            raise UsageError(
                f"{what}={index.folder}: no image is wide enough for two of {self.min_side} pixels"
            )
        _doubt_unlike_halves(files, what)
        return files


def _doubt_unlike_halves(files: Sequence[Path], what: str) -> None:
    """Warn if the halves of most images do not show the same."""
    some = [files[i] for i in spaced(len(files), _SAMPLED)]
    left, right = (Halves(some, side) for side in ("left", "right"))
    likeness = [
        alignment([np.asarray(left.picture(i)), np.asarray(right.picture(i))]) for i in range(len(some))
    ]
    if (typical := float(np.median(likeness))) < _ALIGNED:
        log.warning(
            "%s: the halves of most images do not show the same (edges correlate by %.2f, a photo's and "
            "its cartoon's by 0.4 and more); are they side by side? see layout",
            *(what, typical),
        )


class Halves(Files):
    """The left or the right halves of images; the middle column of an odd width belongs to neither."""

    def __init__(self, paths: Sequence[Path], side: str) -> None:
        super().__init__(paths)
        self.side = side

    def picture(self, index: int) -> Image.Image:
        whole = _whole(self.paths[index])
        half = whole.width // 2
        left = 0 if self.side == "left" else whole.width - half
        return whole.crop((left, 0, left + half, whole.height))


@lru_cache(maxsize=1)  # a pair's halves are asked for one after the other: one decoding serves both
def _whole(path: Path) -> Image.Image:
    return Files([path]).picture(0)


def match(photos: Index, cartoons: Index) -> list[Pair]:
    """Pair files of equal stems, and name in one warning all that stay alone.

    Raises:
        UsageError: no pair at all.
    """
    sides = {"photos": _by_stem(photos), "cartoons": _by_stem(cartoons)}
    both = sorted(sides["photos"].keys() & sides["cartoons"].keys(), key=lambda stem: Path(stem).parts)
    pairs = [Pair(sides["photos"][stem], sides["cartoons"][stem]) for stem in both]
    crooked = [pair for pair in pairs if not _alike(photos.sizes[pair.photo], cartoons.sizes[pair.cartoon])]
    problems = [
        _named([p.photo for p in crooked], photos, "of other proportions than their cartoon"),
        *(
            _named(_twice(index), index, f"{what} of a stem that another has too")
            for what, index in (("photos", photos), ("cartoons", cartoons))
        ),
        _named(_alone(sides["photos"], both), photos, "photos without a cartoon"),
        _named(_alone(sides["cartoons"], both), cartoons, "cartoons without a photo"),
    ]
    if found := "; ".join(filter(None, problems)):
        log.warning("pairs: %d of equal stems and proportions; skipped %s", len(both) - len(crooked), found)
    gone = set(crooked)
    pairs = [pair for pair in pairs if pair not in gone]
    if not pairs:
        raise UsageError(
            f"photos={photos.folder} and cartoons={cartoons.folder} make no pair ({found}): a photo and its "
            "cartoon have the same path below their folders but for the extension, and the same proportions"
        )
    return pairs


def _stem(index: Index, path: Path) -> str:
    return path.relative_to(index.folder).with_suffix("").as_posix()


def _twice(index: Index) -> list[Path]:
    count = Counter(_stem(index, path) for path in index.files)
    return [path for path in index.files if count[_stem(index, path)] > 1]


def _by_stem(index: Index) -> dict[str, Path]:
    ambiguous = set(_twice(index))
    return {_stem(index, path): path for path in index.files if path not in ambiguous}


def _alone(files: Mapping[str, Path], both: Sequence[str]) -> list[Path]:
    return [files[stem] for stem in files.keys() - set(both)]


def _alike(one: tuple[int, int], two: tuple[int, int]) -> bool:
    return abs(one[0] * two[1] / (one[1] * two[0]) - 1) <= _PROPORTIONS


def _named(paths: Sequence[Path], index: Index, what: str) -> str:
    if not paths:
        return ""
    names = sorted(str(path.relative_to(index.folder)) for path in paths)
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})"
