"""Data modules: what `data=...` chooses from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from toonlab.data.demo import Draw, make_demo
from toonlab.data.folders import report, scan, split
from toonlab.data.stream import Files
from toonlab.data.streamed import Parts, StreamedData
from toonlab.data.synthetic import ColourBlocks
from toonlab.errors import UsageError, check_choice


class UnpairedData(StreamedData):
    """Two folders of images that have nothing to do with each other.

    Args:
        photos: folder; see `scan` for what counts.
        cartoons: folder.
        val_photos: folder of photos for validation and test; `photos` is then all for training.
        val_cartoons: folder of cartoons, likewise.
        val_fraction: share of a folder kept for validation, as a contiguous block (see `split`). A
            `val_` folder is divided between validation and test in the same proportion: a checkpoint
            chosen on one half is scored on the other.
        test_fraction: share kept for test.
        min_side: pixels; smaller images are skipped. None means half of `size`.
        split: `all` gives every part every image, to score a folder that was held out as a whole.
        cache_dir: remembers which files are sound; None checks them at every start.
        **common: see `StreamedData`.
    """

    def __init__(
        self,
        *,
        photos: str | None,
        cartoons: str | None,
        val_photos: str | None = None,
        val_cartoons: str | None = None,
        val_fraction: float,
        test_fraction: float,
        min_side: int | None = None,
        split: Literal["fractions", "all"] = "fractions",
        cache_dir: str | Path | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_choice("data.split", split, ["fractions", "all"])
        if min(val_fraction, test_fraction) <= 0 or val_fraction + test_fraction >= 1:
            raise UsageError(
                f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} "
                "must be above 0 and leave something to train on"
            )
        self.folders = {
            "photo": ("photos", photos, val_photos),
            "cartoon": ("cartoons", cartoons, val_cartoons),
        }
        self.held_out = {"val": val_fraction, "test": test_fraction}
        self.min_side, self.split = self.size // 2 if min_side is None else min_side, split
        self.cache_dir = Path(cache_dir) if cache_dir else None

    def open(self) -> dict[str, Parts]:
        return {domain: self._parts(*folders) for domain, folders in self.folders.items()}

    def _parts(self, what: str, folder: str | None, held_out: str | None) -> Parts:
        files = self._files(folder, what)
        if self.split == "all":
            return dict.fromkeys(("train", "val", "test"), Files(files))
        if held_out:
            parts = {"train": files} | split(
                self._files(held_out, f"val_{what}"), self.held_out, f"val_{what}"
            )
        else:
            parts = split(files, {"train": 1 - sum(self.held_out.values())} | self.held_out, what)
        return {part: Files(paths) for part, paths in parts.items()}

    def _files(self, folder: str | None, what: str) -> list[Path]:
        index = scan(folder, what=what, min_side=self.min_side, cache_dir=self.cache_dir)
        report(index, what)
        return index.files


class DemoData(StreamedData):
    """Photographs inside installed packages, and cartoons made of other ones; see `make_demo`.

    Args:
        cache_dir: where the pictures are written, once.
        draw: makes the cartoons.
        **common: see `StreamedData`.
    """

    def __init__(self, *, cache_dir: str | Path, draw: Draw, **common: Any) -> None:
        super().__init__(**common)
        self.draw = draw
        self.root = Path(cache_dir) / "demo"

    def open(self) -> dict[str, Parts]:
        make_demo(self.root, self.draw)
        return {
            domain: {
                part: Files(sorted((self.root / part / folder).iterdir()))
                for part in ("train", "val", "test")
            }
            for domain, folder in (("photo", "photos"), ("cartoon", "cartoons"))
        }


class SyntheticData(StreamedData):
    """Colour blocks: smooth and noisy ones for photos, flat ones for cartoons. No files; tests and CI.

    Args:
        count: pictures in each part of each domain.
        **common: see `StreamedData`.
    """

    def __init__(self, *, count: int, **common: Any) -> None:
        super().__init__(**common)
        self.count = count

    def open(self) -> dict[str, Parts]:
        return {
            domain: {
                part: ColourBlocks(
                    count=self.count, side=2 * self.size, flat=flat, key=f"{self.seed}-{domain}-{part}"
                )
                for part in ("train", "val", "test")
            }
            for domain, flat in (("photo", False), ("cartoon", True))
        }
