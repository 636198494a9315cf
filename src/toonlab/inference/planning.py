"""Which photos become which cartoons: settled first, so that nothing surprising is ever written."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference.cartoon_file import OPAQUE
from toonlab.inference.photo_file import READABLE


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


def plan(input: Path, output: Path, *, overwrite: bool, png: bool = False, format: str | None = None) -> Plan:
    """Decide which file becomes which; touches nothing.

    A folder is read recursively and keeps its structure; dot-files and the output's own folder are not read.
    Targets keep their names, except that what a format cannot hold (alpha in a JPEG) or toonlab cannot write
    becomes PNG. No two sources share a target and no target is a source.

    Args:
        input: a photo, or a folder of them.
        output: where the targets go.
        overwrite: plan targets anew that are there already.
        png: everything becomes PNG; `renamed` is then empty. Animations are not read.
        format: what everything becomes that it can hold, `jpg` for instance; None keeps each file's own.

    Raises:
        UsageError: there is nothing to paint, or the output would overwrite the input; `format` is none that
            is written, or not that of `output`.
    """
    kinds = images.EXTENSIONS if png else READABLE
    suffix = ".png" if png else _suffix(format, output)
    if not input.exists():
        raise UsageError(f"input={input} does not exist: name a photo or a folder of photos")
    found, ignored = [input], 0
    if input.is_dir():
        if not output.is_dir() and _names_an_image(output):
            raise UsageError(f"output={output} names a file but input={input} is a folder: name a folder")
        found, ignored = _photos(input, output, kinds)
        wanted = [output / source.relative_to(input) for source in found]
    elif output.is_dir() or not _names_an_image(output):
        if not output.exists() and re.fullmatch(r"\.[a-z]{2,4}", output.suffix, re.IGNORECASE):
            raise UsageError(
                f"output={output}: {output.suffix} is no format of pictures; name a .png or .jpg, or a "
                f"folder (if it is called so: mkdir {output} first)"
            )
        wanted = [output / input.name]
    else:
        wanted = [output]
    if output.is_file() and wanted != [output]:
        raise UsageError(f"output={output} is a file and not an image: name a folder or an image file")
    targets, renamed = _targets(found, wanted, suffix)
    sources = {source.resolve() for source in found}
    if any(target.resolve() in sources for target in targets):
        raise UsageError(f"output={output} would overwrite photos of input={input}: choose another output")
    jobs = [Job(source=s, target=t) for s, t in zip(found, targets, strict=True)]
    done = [job.target.is_file() and not overwrite for job in jobs]
    return Plan(
        jobs=tuple(itertools.compress(jobs, (not there for there in done))),
        existing=tuple(itertools.compress(jobs, done)),
        renamed=() if png else renamed,
        ignored=ignored,
    )


def _suffix(format: str | None, output: Path) -> str | None:
    """Return the suffix of a format by its name."""
    if format is None:
        return None
    suffix = f".{format.lower().lstrip('.')}"
    if suffix not in READABLE:
        known = ", ".join(sorted(kind[1:] for kind in READABLE))
        raise UsageError(f"format={format}: use one of {known}, or null for each file's own")
    same = {".jpeg": ".jpg", ".tiff": ".tif"}
    own = output.suffix.lower()
    if not output.is_dir() and _names_an_image(output) and same.get(own, own) != same.get(suffix, suffix):
        raise UsageError(f"format={format} and output={output} disagree: leave one of them out")
    return None if not output.is_dir() and _names_an_image(output) else suffix


def listed(folder: Path, output: Path) -> list[Path]:
    """Return a folder's files, sorted: but dot-files and what lies in the output's own folder.

    Raises:
        UsageError: the output is the folder itself.
    """
    if output.resolve() == folder.resolve():
        raise UsageError(f"output={output} is the input folder itself: choose another output")
    earlier = output.resolve() if output.resolve().is_relative_to(folder.resolve()) else None
    return [
        path
        for path in sorted(folder.rglob("*"))
        if (
            path.is_file() or (path.is_symlink() and not path.is_dir())
        )  # a dangling link is a failure to report
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (earlier and path.resolve().is_relative_to(earlier))
    ]


def _photos(folder: Path, output: Path, kinds: frozenset[str]) -> tuple[list[Path], int]:
    """Return the folder's image files, sorted, and the number of its other files."""
    files = listed(folder, output)
    photos = [path for path in files if path.suffix.lower() in kinds]
    if not photos:
        raise UsageError(
            f"input={folder} holds no image ({' '.join(sorted(kinds))}) among {len(files)} files: "
            "name another folder"
        )
    return photos, len(files) - len(photos)


def _targets(
    sources: list[Path], wanted: list[Path], suffix: str | None
) -> tuple[list[Path], tuple[Path, ...]]:
    """Return a target of its own for each source, and those of them that had to become PNG.

    Args:
        sources: photos.
        wanted: where each would go under its own name.
        suffix: what all become, if they can.
    """
    asked = [suffix or target.suffix for target in wanted]
    goals = [
        kind if _can_hold(target.with_suffix(kind), source) else ".png"
        for source, target, kind in zip(sources, wanted, asked, strict=True)
    ]
    stay = [target.suffix.lower() == goal.lower() for target, goal in zip(wanted, goals, strict=True)]
    taken = set(itertools.compress(wanted, stay))
    targets, renamed = [], []
    for target, kind, goal, stays in zip(wanted, asked, goals, stay, strict=True):
        if not stays:
            target = next(name for name in _names(target, goal) if name not in taken)
            taken.add(target)
        targets.append(target)
        if goal != kind:
            renamed.append(target)
    return targets, tuple(renamed)


def _names(target: Path, suffix: str) -> Iterator[Path]:
    yield target.with_suffix(suffix)
    yield target.with_name(f"{target.name}{suffix}")
    yield from (target.with_name(f"{target.name}.{i}{suffix}") for i in itertools.count(2))


def _can_hold(target: Path, source: Path) -> bool:
    suffix = target.suffix.lower()
    if suffix not in READABLE:
        return False
    if suffix not in OPAQUE or source.suffix.lower() in (".jpg", ".jpeg"):  # JPEG has no alpha to lose
        return True
    try:
        return images.decode(source).alpha is None
    except images.BadImageError:
        return True  # to be reported when its turn comes


def _names_an_image(path: Path) -> bool:
    return path.suffix.lower() in Image.registered_extensions()
