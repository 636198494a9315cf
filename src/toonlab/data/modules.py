"""Data modules: what `data=...` chooses from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from toonlab.data.demo import Draw, make_demo
from toonlab.data.domains import check_known, named
from toonlab.data.folders import Index, report, scan
from toonlab.data.folders import split as split_blocks
from toonlab.data.stream import Files
from toonlab.data.streamed import Parts, StreamedData
from toonlab.data.synthetic import ColourBlocks
from toonlab.errors import UsageError, check_choice

T = TypeVar("T")


class FolderData(StreamedData):
    """Folders of the user's, and what is held out of them.

    Args:
        val_fraction: share kept for validation, as a contiguous block (see `folders.split`). Held-out folders
            are divided between validation and test in the same proportion: a checkpoint chosen on one half is
            scored on the other.
        test_fraction: share kept for test.
        min_side: pixels; smaller images are skipped. None means half of `size`.
        split: `all` gives every part every image, to score a folder that was held out as a whole.
        cache_dir: remembers which files are sound; None checks them at every start.
        **common: see `StreamedData`.
    """

    def __init__(
        self,
        *,
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
        self.held_out = {"val": val_fraction, "test": test_fraction}
        self.min_side, self.split = self.size // 2 if min_side is None else min_side, split
        self.cache_dir = Path(cache_dir) if cache_dir else None

    def index(self, folder: str | None, what: str) -> Index:
        """Return what a folder holds, reporting what was passed over; see `folders.scan`."""
        index = scan(folder, what=what, min_side=self.min_side, cache_dir=self.cache_dir)
        report(index, what)
        return index

    def divide(self, items: Sequence[T], held_out: Sequence[T] | None, what: str) -> dict[str, Sequence[T]]:
        """Return the items of `train`, `val` and `test`; the latter two from `held_out` if there is one."""
        if self.split == "all":
            return dict.fromkeys(("train", "val", "test"), items)
        if held_out:
            return {"train": items, **split_blocks(held_out, self.held_out, f"val_{what}")}
        return {**split_blocks(items, {"train": 1 - sum(self.held_out.values())} | self.held_out, what)}

    def parts(self, what: str, folder: str | None, held_out: str | None) -> Parts:
        """Return the sources of a folder's parts; of `val` and `test` from `held_out` if there is one."""
        files = self.index(folder, what).files
        held_out_files = (
            self.index(held_out, f"val_{what}").files if held_out and self.split != "all" else None
        )
        return {part: Files(paths) for part, paths in self.divide(files, held_out_files, what).items()}


class UnpairedData(FolderData):
    """Two folders of images that have nothing to do with each other.

    Args:
        photos: folder; see `folders.scan` for what counts.
        cartoons: folder.
        val_photos: folder of photos for validation and test; `photos` is then all for training.
        val_cartoons: folder of cartoons, likewise.
        **common: see `FolderData`.
    """

    def __init__(
        self,
        *,
        photos: str | None,
        cartoons: str | None,
        val_photos: str | None = None,
        val_cartoons: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.folders = {
            "photo": ("photos", photos, val_photos),
            "cartoon": ("cartoons", cartoons, val_cartoons),
        }

    def open(self) -> dict[str, Parts]:
        return {domain: self.parts(*folders) for domain, folders in self.folders.items()}


class MultiDomainData(FolderData):
    """One folder of photos, and a folder of cartoons for each style: a batch's cartoons are all of one.

    Args:
        photos: folder; see `folders.scan` for what counts.
        domains: folders of cartoons by name, or folders alone; see `domains.named`.
        val_photos: folder of photos for validation and test; `photos` is then all for training.
        val_domains: folders of cartoons, likewise, for all domains or for some.
        **common: see `FolderData`.
    """

    def __init__(
        self,
        *,
        photos: str | None,
        domains: Mapping[str, str] | Sequence[str],
        val_photos: str | None = None,
        val_domains: Mapping[str, str] | Sequence[str] | None = None,
        **common: Any,
    ) -> None:
        folders = named(domains)
        super().__init__(domains=list(folders), **common)
        held_out = named(val_domains, "val_domains") if val_domains else {}
        check_known(held_out, list(folders), "val_domains")
        self.photos = photos, val_photos
        self.cartoons = {name: (folder, held_out.get(name)) for name, folder in folders.items()}

    def open(self) -> dict[str, Parts]:
        cartoons = {
            f"cartoon/{name}": self.parts(f"domains.{name}", *folders)
            for name, folders in self.cartoons.items()
        }
        return {"photo": self.parts("photos", *self.photos), **cartoons}


class DemoData(StreamedData):
    """Photographs inside installed packages, and cartoons made of other ones; see `make_demo`.

    Args:
        cache_dir: where the pictures are written, once.
        draw: makes the cartoons.
        styles: make the cartoons of each domain, for a method that learns several.
        **common: see `StreamedData`.
    """

    def __init__(
        self, *, cache_dir: str | Path, draw: Draw, styles: Mapping[str, Draw] | None = None, **common: Any
    ) -> None:
        super().__init__(domains=list(styles or {}), **common)
        self.root = Path(cache_dir) / "demo"
        self.drawn = {"cartoon": (self.root, draw)}
        if styles and self.domains:
            self.drawn = {
                # What the plain demo shows is not drawn twice.
                f"cartoon/{name}": (
                    self.root if repr(style) == repr(draw) else self.root.with_name(f"demo_{name}"),
                    style,
                )
                for name, style in styles.items()
            }

    def open(self) -> dict[str, Parts]:
        for root, draw in self.drawn.values():
            make_demo(root, draw)
        (photos, _), *_ = self.drawn.values()
        cartoons = {view: _demo_parts(root, "cartoons") for view, (root, _) in self.drawn.items()}
        return {"photo": _demo_parts(photos, "photos"), **cartoons}


def _demo_parts(root: Path, folder: str) -> Parts:
    return {part: Files(sorted((root / part / folder).iterdir())) for part in ("train", "val", "test")}


class SyntheticData(StreamedData):
    """Colour blocks: smooth and noisy ones for photos, flat ones for cartoons. No files; tests and CI.

    Args:
        count: pictures in each part of each domain.
        paired: a photo and the cartoon of its number have the same colours.
        domains: for a method that learns several styles: each has one level of colour more than the last.
        **common: see `StreamedData`.
    """

    def __init__(
        self, *, count: int, paired: bool = False, domains: Sequence[str] = (), **common: Any
    ) -> None:
        super().__init__(domains=domains, **common)
        self.count, self.paired = count, paired and not self.domains

    def open(self) -> dict[str, Parts]:
        styles = {f"cartoon/{name}": 2 + i for i, name in enumerate(self.domains)} or {"cartoon": 4}
        return {
            view: {
                part: ColourBlocks(
                    count=self.count,
                    side=2 * self.size,
                    flat=view != "photo",
                    key=f"{self.seed}-{'pair' if self.paired else view}-{part}",
                    levels=levels,
                )
                for part in ("train", "val", "test")
            }
            for view, levels in ({"photo": 0} | styles).items()
        }
