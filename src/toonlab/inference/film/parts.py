"""A film's finished segments on disk: what a run that goes on finds, and refuses to mix with another's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from toonlab.errors import UsageError

FORMAT = 1
State = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


class Segment(NamedTuple):
    """A finished segment.

    Attributes:
        path: a film without sound.
        pts: of its frames in the order in which they are shown, in the source's time base.
        order: their numbers in the order in which they are stored.
        duration: of its last frame.
    """

    path: Path
    pts: list[int]
    order: list[int]
    duration: int


class Parts:
    """The folder of one film's segments.

    `NNNNN.mkv` is complete once `NNNNN.json` is there; with it lies `NNNNN.npz`, what the next segment needs
    to know of this one. All are written beside and renamed, so that no moment is a bad one to be killed.

    Raises:
        UsageError: the folder was begun with something else.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], *, anew: bool = False) -> None:
        """Take up a folder, or begin one.

        Args:
            folder: made if need be.
            identity: source, network and settings, each as a word or a hash.
            anew: throw away what was begun with something else.
        """
        self.folder = folder
        asked = {"format": str(FORMAT), **identity}
        folder.mkdir(parents=True, exist_ok=True)
        self._held = (folder / "lock").open("w")
        try:
            self._begin(asked, anew)
        except BaseException:
            self._held.close()
            raise
        self.segments = list(self._found())

    def _begin(self, asked: Mapping[str, str], anew: bool) -> None:
        if not _lock(self._held):
            raise UsageError(f"{self.folder} is being painted by another process: wait for it, or stop it")
        begun = _read(self.folder / "manifest.json")
        if begun == asked:
            return
        if begun is not None and not anew:
            changed = sorted(key for key in {*asked, *begun} if asked.get(key) != begun.get(key))
            raise UsageError(
                f"{self.folder} was begun with different {', '.join(changed)}: give the same again to go on, "
                f"or overwrite=true to begin anew (or delete that folder)"
            )
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()
        _write(self.folder / "manifest.json", asked)

    @property
    def frames(self) -> int:
        """How many are done."""
        return sum(len(segment.pts) for segment in self.segments)

    @property
    def state(self) -> dict[str, Any] | None:
        """What was kept with the last segment."""
        path = self._path(len(self.segments) - 1, "npz")
        if not self.segments or not path.exists():
            return None
        with np.load(path) as kept:
            return dict(kept)

    def unfinished(self) -> Path:
        """Return the path at which to write the next segment."""
        return self.folder / "unfinished.mkv"

    def keep(self, *, pts: Sequence[int], order: Sequence[int], duration: int, state: State | None) -> None:
        """Take `unfinished` as the next segment."""
        number = len(self.segments)
        path = self._path(number, "mkv")
        self.unfinished().replace(path)
        if state:
            part = self.folder / "unfinished.npz"
            np.savez(part, allow_pickle=False, **state)
            part.replace(self._path(number, "npz"))
        segment = Segment(path, list(pts), list(order), duration)
        about = {"pts": segment.pts, "order": segment.order, "duration": segment.duration}
        _write(path.with_suffix(".json"), about)
        self.segments.append(segment)
        if number:
            self._path(number - 1, "npz").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder: the film is where it belongs."""
        shutil.rmtree(self.folder)

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _found(self) -> Iterator[Segment]:
        number = 0
        while (about := _read(self._path(number, "json"))) and self._path(number, "mkv").exists():
            yield Segment(self._path(number, "mkv"), about["pts"], about["order"], about["duration"])
            number += 1

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:05d}.{kind}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, content: object) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)


def _lock(file: IO[str]) -> bool:
    if os.name != "posix":
        return True  # Windows lets no second process write the segment that is open
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
