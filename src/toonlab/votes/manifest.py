"""What a vote is about: which models, on which photos, asked how. Another one needs another folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from toonlab.errors import UsageError
from toonlab.votes.design import MODES, Mode

FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """What painted.

    Attributes:
        name: as reports call it; raters never see it.
        kind: `checkpoint`, `method` (without training) or `photo` (nothing done).
        source: the checkpoint's file, or the method.
        sha256: of that file, or of the method's settings.
        settings: everything else that decides what it paints, such as `style` and `strength`.
        method: what it was trained by, where that is known; source 004's table goes by it.
        run: its run folder, where it has one.
    """

    name: str
    kind: str
    source: str
    sha256: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    method: str = ""
    run: str = ""

    @property
    def paints(self) -> tuple[object, ...]:
        """What decides its pictures; where its file lies does not."""
        return self.name, self.kind, self.sha256, json.dumps(self.settings, sort_keys=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo by its place below the folder of photos, and its content."""

    name: str
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole vote, as it was begun."""

    mode: Mode
    question: str
    seed: int
    max_side: int
    photos_dir: str
    models: tuple[Model, ...]
    photos: tuple[Photo, ...]

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"mode={self.mode}: use one of {', '.join(MODES)}")
        if not 2 <= len(self.models) <= 9:
            raise UsageError(
                f"runs={[model.name for model in self.models]}: a vote is between 2 and 9 (the keys 1 to 9)"
            )
        if not self.photos:
            raise UsageError("photos=…: no photo there to vote on")

    def to_json(self) -> str:
        """Return it as `from_json` reads it."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            UsageError: it is of a newer toonlab.
        """
        content = json.loads(text)
        if (version := content.pop("format")) > FORMAT:
            raise UsageError(f"this vote was begun by a newer toonlab (format {version}); update toonlab")
        content["models"] = tuple(Model(**model) for model in content["models"])
        content["photos"] = tuple(Photo(**photo) for photo in content["photos"])
        return cls(**content)

    def difference(self, other: Manifest) -> str | None:
        """Say in a few words what `other` has that this one has not; None if votes on both may be mixed."""
        for key in ("mode", "question", "seed", "max_side"):
            if (ours := getattr(self, key)) != (theirs := getattr(other, key)):
                return f"{key}={ours} there, {key}={theirs} now"
        ours, theirs = [m.name for m in self.models], [m.name for m in other.models]
        if ours != theirs:
            return f"models {', '.join(ours)} there, {', '.join(theirs)} now"
        for old, new in zip(self.models, other.models, strict=True):
            if old.paints != new.paints:
                return f"{old.name} is not what it was there: other weights or settings"
        before, now = ({photo.name: photo.sha256 for photo in each.photos} for each in (self, other))
        if gone := sorted(before.keys() ^ now.keys()):
            return f"{len(before)} photos there, {len(now)} now; the first that both do not have is {gone[0]}"
        changed = next((name for name, digest in before.items() if now[name] != digest), None)
        return f"the photo {changed} has changed" if changed else None
