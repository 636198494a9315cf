"""What is wrong with a data set's files: found one by one, then by comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from toonlab import images as im
from toonlab.data.bars import Bars, find_bars, reduced
from toonlab.data.hashes import near_pairs, phash

_THUMB = 8  # pixels
_ALIKE = 14.0  # of 255: mean difference of two thumbnails that show the same
_GREY = 4.0  # of 255: the 99th percentile of a grey picture's spread between channels
_FAR = 6.0  # robust standard deviations
_TWICE = 2.0  # and at least this factor from the median: an even set has no outliers


class Facts(NamedTuple):
    """What is kept of a file; `reason` says why it could not be decoded, and then nothing else counts."""

    file: str
    reason: str
    width: int
    height: int
    size: int
    kind: str
    digest: str
    hash: int
    thumb: str
    grey: bool
    bars: Bars

    @property
    def short(self) -> int:
        """Shorter side, pixels."""
        return min(self.width, self.height)

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Facts:
        """Read what `row` wrote."""
        return cls(
            file=row["file"],
            reason=row["reason"],
            width=int(row["width"]),
            height=int(row["height"]),
            size=int(row["size"]),
            kind=row["kind"],
            digest=row["digest"],
            hash=int(row["hash"]),
            thumb=row["thumb"],
            grey=row["grey"] == "1",
            bars=Bars(*(float(value) for value in row["bars"].split())),
        )

    def row(self) -> dict[str, object]:
        """Return plain values for a table."""
        bars = " ".join(f"{value:.4f}" for value in self.bars)
        return self._asdict() | {"grey": int(self.grey), "bars": bars}


class Pair(NamedTuple):
    """Two files that show the same; `exact` if they are equal byte by byte."""

    one: Facts
    two: Facts
    exact: bool


def examine(path: Path) -> Facts:
    """Read a file once for everything that is asked of it."""
    nothing = Facts(str(path), "", 0, 0, 0, path.suffix.lower(), "", 0, "", False, Bars(0, 0, 0, 0))
    try:
        content = path.read_bytes()
        picture = im.on_white(im.decode(path))
    except (im.BadImageError, OSError) as error:
        return nothing._replace(reason=str(error) or type(error).__name__)
    pixels = np.asarray(picture)
    small = reduced(pixels)
    thumb = cv2.resize(small, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
    spread = np.ptp(small.astype(np.int16), axis=2)
    return nothing._replace(
        width=picture.width,
        height=picture.height,
        size=len(content),
        kind=_kind(path),
        digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
        hash=phash(pixels),
        thumb=thumb.tobytes().hex(),
        grey=bool(np.quantile(spread, 0.99) < _GREY),
        bars=find_bars(small),
    )


def same_pictures(facts: Sequence[Facts], most: int) -> Iterator[Pair]:
    """Yield pairs of files that are equal, or nearly: by hash, and by the colours of a thumbnail as well.

    Args:
        facts: of sound files.
        most: bits of 64 in which near-duplicates' hashes may differ.
    """
    thumbs = np.array([np.frombuffer(bytes.fromhex(each.thumb), np.uint8) for each in facts], np.int16)
    for i, j in near_pairs([each.hash for each in facts], most) if len(facts) > 1 else ():
        exact = facts[i].digest == facts[j].digest
        # A hash knows no colours, and of a flat picture nothing at all.
        if exact or np.abs(thumbs[i] - thumbs[j]).mean() < _ALIKE:
            yield Pair(facts[i], facts[j], exact)


def outliers(values: Sequence[float]) -> list[int]:
    """Return which positive values are far from the others, on a logarithmic scale."""
    logs = np.log(np.maximum(np.asarray(values, dtype=float), 1e-9))
    if len(logs) < 8:
        return []
    distance = np.abs(logs - np.median(logs))
    spread = max(1.4826 * float(np.median(distance)), np.log(_TWICE) / _FAR)
    return [int(i) for i in np.flatnonzero(distance > _FAR * spread)]


def _kind(path: Path) -> str:
    with Image.open(path) as opened:
        return str(opened.format or path.suffix.lower())
