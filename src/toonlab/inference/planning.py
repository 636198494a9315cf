"""Which photos become which cartoons: settled first, so that nothing surprising is ever written."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference.cartoon_file import OPAQUE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One photo and where its cartoon goes."""

    source: Path
    target: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be painted and what will not.

    Attributes:
        jobs: what there is to do.
        existing: jobs whose targets are there already and stay; this makes an interrupted run resumable.
        renamed: of all targets, those that had to become PNG.
        ignored: number of files in the input folder that are no images by their names.
    """

    jobs: tuple[Job, ...]
    existing: tuple[Job, ...]
    renamed: tuple[Path, ...]
    ignored: int


def plan(input: Path, output: Path, *, overwrite: bool, png: bool = False) -> Plan:
    """Decide which file becomes which; touches nothing.

    A folder is read recursively and keeps its structure; dot-files and the output's own folder are not read.
    Targets keep their names, except that what a format cannot hold (alpha in a JPEG) or toonlab cannot write
    becomes PNG. No two sources share a target and no target is a source.

    Args:
        input: a photo, or a folder of them.
        output: where the targets go.
        overwrite: plan targets anew that are there already.
        png: everything becomes PNG; `renamed` is then empty.

    Raises:
        UsageError: there is nothing to paint, or the output would overwrite the input.
    """
    if not input.exists():
        raise UsageError(f"input={input} does not exist: name a photo or a folder of photos")
    found, ignored = [input], 0
    if input.is_dir():
        if not output.is_dir() and _names_an_image(output):
            raise UsageError(f"output={output} names a file but input={input} is a folder: name a folder")
        found, ignored = _photos(input, output)
        wanted = [output / source.relative_to(input) for source in found]
    elif output.is_dir() or not _names_an_image(output):
        wanted = [output / input.name]
    else:
        wanted = [output]
    if output.is_file() and wanted != [output]:
        raise UsageError(f"output={output} is a file and not an image: name a folder or an image file")
    targets = _targets(found, wanted, png)
    sources = {source.resolve() for source in found}
    if any(target.resolve() in sources for target in targets):
        raise UsageError(f"output={output} would overwrite photos of input={input}: choose another output")
    jobs = [Job(source=s, target=t) for s, t in zip(found, targets, strict=True)]
    done = [job.target.is_file() and not overwrite for job in jobs]
    return Plan(
        jobs=tuple(itertools.compress(jobs, (not there for there in done))),
        existing=tuple(itertools.compress(jobs, done)),
        renamed=tuple(t for t, w in zip(targets, wanted, strict=True) if t != w and not png),
        ignored=ignored,
    )


def _photos(folder: Path, output: Path) -> tuple[list[Path], int]:
    """Return the folder's image files, sorted, and the number of its other files."""
    if output.resolve() == folder.resolve():
        raise UsageError(f"output={output} is the input folder itself: choose another output")
    earlier = output.resolve() if output.resolve().is_relative_to(folder.resolve()) else None
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if (
            path.is_file() or (path.is_symlink() and not path.is_dir())
        )  # a dangling link is a failure to report
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (earlier and path.resolve().is_relative_to(earlier))
    ]
    photos = [path for path in files if path.suffix.lower() in images.EXTENSIONS]
    if not photos:
        kinds = " ".join(sorted(images.EXTENSIONS))
        raise UsageError(
            f"input={folder} holds no image ({kinds}) among {len(files)} files: name another folder"
        )
    return photos, len(files) - len(photos)


def _targets(sources: list[Path], wanted: list[Path], png: bool) -> list[Path]:
    """Return a target of its own for each source: as wanted where its format allows, else a PNG beside it."""
    fits = [
        target.suffix.lower() == ".png" if png else _can_hold(target, source)
        for source, target in zip(sources, wanted, strict=True)
    ]
    taken = {target for target, fit in zip(wanted, fits, strict=True) if fit}
    targets = []
    for target, fit in zip(wanted, fits, strict=True):
        if not fit:
            target = next(name for name in _png_names(target) if name not in taken)
            taken.add(target)
        targets.append(target)
    return targets


def _png_names(target: Path) -> Iterator[Path]:
    yield target.with_suffix(".png")
    yield target.with_name(f"{target.name}.png")
    yield from (target.with_name(f"{target.name}.{i}.png") for i in itertools.count(2))


def _can_hold(target: Path, source: Path) -> bool:
    suffix = target.suffix.lower()
    if suffix not in images.EXTENSIONS:
        return False
    if suffix not in OPAQUE or source.suffix.lower() in (".jpg", ".jpeg"):  # JPEG has no alpha to lose
        return True
    try:
        return images.decode(source).alpha is None
    except images.BadImageError:
        return True  # to be reported when its turn comes


def _names_an_image(path: Path) -> bool:
    return path.suffix.lower() in Image.registered_extensions()
