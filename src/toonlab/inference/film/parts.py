"""A film's finished segments on disk: what a run that goes on finds, and refuses to mix with another's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from toonlab.engine.whole import write_whole
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
        self._held = FileLock(folder / "lock")
        try:
            self._begin(asked, anew)
        except BaseException:
            self._held.release()
            raise
        self.segments = list(self._found())

    def _begin(self, asked: Mapping[str, str], anew: bool) -> None:
        try:
            self._held.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"{self.folder} is being painted by another process: wait for it, or stop it"
            ) from None
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
        write_whole(self.folder / "manifest.json", _json(asked))

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
        write_whole(path.with_suffix(".json"), _json(about))
        self.segments.append(segment)
        if number:
            self._path(number - 1, "npz").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder: the film is where it belongs."""
        shutil.rmtree(self.folder)

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.release()

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


def _json(content: object) -> str:
    return json.dumps(content, indent=1)
