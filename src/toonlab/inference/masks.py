"""Which mask belongs to which photo: one for all, one each, or holes made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from toonlab import images, keyed
from toonlab.errors import UsageError, did_you_mean
from toonlab.representations.inpainting.holes import KINDS, hole, read_mask


class Masks:
    """Known-masks by photo.

    Args:
        mask: a kind of hole (`box`, `blocks`, `random`, `half`, `grid`), a mask for all photos, or a folder
            with a mask for each, at the photo's relative path, in any image format.
        photos: the folder that the photos are in, for their relative paths.
        seed: of made-up holes; a photo's hole depends on it, on the kind and on the photo's relative path.
        resize: bring masks of another size to their photo's instead of refusing them.
        options: of made-up holes, see `hole`.

    Raises:
        UsageError: there is no such mask.
    """

    def __init__(
        self, mask: str, *, photos: Path, seed: int, resize: bool, options: Mapping[str, Any]
    ) -> None:
        self.kind = mask if mask in KINDS else None
        self.path = Path(mask).expanduser()
        self.photos, self.seed, self.resize, self.options = photos, seed, resize, dict(options)
        if self.kind is None and not self.path.exists():
            raise UsageError(
                f"mask={mask}: neither a file nor a folder, nor one of {', '.join(KINDS)}"
                f"{did_you_mean(mask, KINDS)}"
            )
        self._each: dict[Path, list[Path]] = {}
        if self.kind is None and self.path.is_dir():
            for file in sorted(self.path.rglob("*")):
                if file.suffix.lower() in images.EXTENSIONS and file.is_file():
                    self._each.setdefault(file.relative_to(self.path).with_suffix(""), []).append(file)
            if not self._each:
                raise UsageError(f"mask={mask} holds no image: name a folder with a mask for each photo")

    @property
    def made_up(self) -> bool:
        """Whether photos are whole and only their holes are made up, so that there is a clean cartoon."""
        return self.kind is not None

    def unused(self, photos: list[Path]) -> list[Path]:
        """Return the masks of a folder that belong to none of these photos."""
        wanted = {self._stem(photo) for photo in photos}
        return [file for stem, files in self._each.items() if stem not in wanted for file in files]

    def place(self, photo: Path) -> Path:
        """Return a photo's path relative to all photos."""
        return photo.relative_to(self.photos)

    def name(self, photo: Path) -> str:
        """Return what a record calls a photo's mask.

        Raises:
            UsageError: see `of`.
        """
        return self.kind or str(self._file(photo))

    def of(self, photo: Path, height: int, width: int) -> Tensor:
        """Return a photo's known-mask `(1, H, W)`, 1 = known.

        Raises:
            BadImageError: the mask cannot be decoded.
            UsageError: the photo has no mask, or several, or one that does not fit (see `read_mask`).
        """
        if self.kind is not None:
            rng = keyed.generator(self.seed, "hole", self.kind, self._stem(photo).as_posix())
            return hole(self.kind, height, width, rng, **self.options)
        file = self._file(photo)
        try:
            return read_mask(file, height, width, resize=self.resize)
        except images.BadImageError as error:
            raise images.BadImageError(f"mask={file}: {error}") from error

    def _stem(self, photo: Path) -> Path:
        return self.place(photo).with_suffix("")

    def _file(self, photo: Path) -> Path:
        if not self.path.is_dir():
            return self.path
        stem = self._stem(photo)
        found = self._each.get(stem, [])
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(file.name for file in found)
            raise UsageError(f"mask={self.path} has several masks for it: {names}; keep one")
        raise UsageError(f"mask={self.path} has no mask for it: expected {self.path / stem}.png")
