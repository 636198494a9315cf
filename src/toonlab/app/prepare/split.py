"""`src/prepare.py split`: train, val and test without leaks."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf

from toonlab import images
from toonlab.app.prepare.journal import Journal, each, read_table, state_of, write_table
from toonlab.app.prepare.output import claim, names_of
from toonlab.app.setup import quiet
from toonlab.data.contact import contact_sheet, thinned
from toonlab.data.folders import find_images
from toonlab.data.grouping import assign, groups_of, source_of
from toonlab.data.hashes import BITS, distance, phash
from toonlab.errors import UsageError, check_choice

log = logging.getLogger(__name__)

TABLE, LEFT_OUT = "split.csv", "left_out.csv"
COLUMNS = ("file", "part", "group")
_SHOWN = 10  # near-duplicates on the sheet


class _Item(NamedTuple):
    """What goes to one part: a file, or a pair; each with the folder below the part, `.` for none."""

    name: Path
    files: list[tuple[Path, Path, str]]  # file, its folder of origin, the folder below the part


def run(cfg: DictConfig) -> None:
    """Split `cfg.source`, or the pairs of `cfg.photos` and `cfg.cartoons`, into `cfg.output`.

    Raises:
        UsageError: nothing to split, a wrong setting, fewer groups than parts, `output` was made with other
            settings, or pictures that came later join earlier parts.
    """
    quiet()
    shares = _check(cfg)
    sources = {key: Path(cfg[key]).expanduser().absolute() for key in _keys(cfg)}
    items, left_out = _items(sources)
    settings: dict[str, object] = {"task": "split", **{key: str(path) for key, path in sources.items()}}
    settings |= {"shares": shares} | {key: cfg[key] for key in ("group", "near", "seed", "link")}
    named = [source_of(item.name, cfg.group) for item in items]
    assign(named, shares, seed=cfg.seed, kept={})  # fails before anything is written
    output = claim(cfg.output, settings=settings, sources=sources)
    hashes, changed = _hashes(items, output, cfg.workers)
    for item in items:
        left_out |= {file: why for file, *_ in item.files if isinstance(why := hashes[file], str)}
    ok = [i for i, item in enumerate(items) if not any(file in left_out for file, *_ in item.files)]
    items, named = [items[i] for i in ok], [named[i] for i in ok]
    columns = [[int(hashes[item.files[k][0]]) for item in items] for k in range(len(sources))]
    groups, near = groups_of(named, columns, cfg.near)
    parts = assign(groups, shares, seed=cfg.seed, kept=_kept(output, items, groups))
    _lay(items, [parts[group] for group in groups], output, cfg.link, cfg.workers, changed)
    rows = [
        {"file": item.name.as_posix(), "part": parts[group], "group": group}
        for item, group in zip(items, groups, strict=True)
    ]
    write_table(output / TABLE, COLUMNS, rows)
    write_table(
        output / LEFT_OUT, ("file", "reason"), [{"file": f, "reason": why} for f, why in left_out.items()]
    )
    if near:
        cells = []
        for a, b in thinned(near, _SHOWN):
            bits = min(distance(column[a], column[b]) for column in columns)
            cells += [
                (images.on_white(images.decode(items[i].files[0][0])), f"{bits} bits {items[i].name}")
                for i in (a, b)
            ]
        images.save(contact_sheet(cells, across=4), output / "near_duplicates.png")
    _tell(rows, shares, output, len(near), left_out)


def _keys(cfg: DictConfig) -> list[str]:
    """Return the keys that name what is split."""
    keys = [key for key in ("source", "photos", "cartoons") if cfg[key]]
    if keys not in (["source"], ["photos", "cartoons"]):
        raise UsageError("give source=DIR, or photos=DIR and cartoons=DIR")
    return keys


def _check(cfg: DictConfig) -> dict[str, float]:
    check_choice("link", cfg.link, ("copy", "hard", "symbolic"))
    if cfg.near is not None and not (isinstance(cfg.near, int) and 0 <= cfg.near < BITS // 2):
        raise UsageError(f"near={cfg.near}: bits, a whole number from 0 to {BITS // 2 - 1}, or null")
    shares: dict[str, float] = dict(OmegaConf.to_container(cfg.shares))  # type: ignore[arg-type]
    for part, share in shares.items():
        if not isinstance(share, int | float) or share < 0:
            raise UsageError(f"shares.{part}={share}: a number, 0 or more")
    shares = {part: share for part, share in shares.items() if share > 0}
    if not shares:
        raise UsageError("shares: all are 0; give one at least")
    if sum(shares.values()) > 1 + 1e-6:
        raise UsageError(
            f"shares: {', '.join(f'{k}={v}' for k, v in shares.items())} are more than 1 together"
        )
    return shares


def _items(sources: dict[str, Path]) -> tuple[list[_Item], dict[Path, str]]:
    found = {key: names_of(find_images(path, what=key)[0], path) for key, path in sources.items()}
    if len(found) == 1:
        ((key, names),) = found.items()
        root = sources[key]
        return [_Item(file.relative_to(root), [(file, root, ".")]) for file in names], {}
    (one, other), (root, other_root) = found, sources.values()
    theirs = {name: file for file, name in found[other].items()}
    items, left_out = [], {}
    for file, name in found[one].items():
        if name in theirs:
            items.append(_Item(name, [(file, root, one), (theirs.pop(name), other_root, other)]))
        else:
            left_out[file] = f"no file of this name in {other}"
    left_out |= dict.fromkeys(theirs.values(), f"no file of this name in {one}")
    if not items:
        raise UsageError(
            f"{one}={root} and {other}={other_root} share no name; pairs are files of equal name"
        )
    return items, left_out


def _hashes(items: list[_Item], output: Path, workers: int | None) -> tuple[dict[Path, int | str], set[Path]]:
    """Return of each file its hash, or why it has none, and which files changed since an earlier call."""
    journal = Journal(output / "hashes.csv", ("file", "state", "hash", "reason"))
    files = [file for item in items for file, *_ in item.files]
    new = [f for f in files if journal.rows.get(str(f), {}).get("state") != state_of(f)]
    changed = {file for file in new if str(file) in journal.rows}

    def hashed(file: Path) -> dict[str, object]:
        state = state_of(file)
        try:
            return {"state": state, "hash": phash(np.asarray(images.on_white(images.decode(file))))}
        except images.BadImageError as error:
            return {"state": state, "reason": str(error)}

    for file, row in each(hashed, new, workers=workers, what="comparing", unit="image"):
        journal.add({"file": file, **row})
    rows = journal.close([str(file) for file in files])
    found: dict[Path, int | str] = {
        Path(row["file"]): int(row["hash"]) if row["hash"] else row["reason"] for row in rows
    }
    return found, changed


def _kept(output: Path, items: list[_Item], groups: list[str]) -> dict[str, str]:
    """Return the parts that an earlier split decided.

    Raises:
        UsageError: new pictures make one group of what was split before.
    """
    earlier = {row["file"]: row["part"] for row in read_table(output / TABLE, COLUMNS)}
    kept = dict[str, str]()
    for item, group in zip(items, groups, strict=True):
        part = earlier.get(item.name.as_posix())
        if part and kept.setdefault(group, part) != part:
            raise UsageError(
                f"{item.name}: was put into {part}, but new pictures join it to some of {kept[group]}; "
                "remove them, or split anew into another output=DIR"
            )
    return kept


def _lay(
    items: list[_Item], parts: list[str], output: Path, link: str, workers: int | None, changed: set[Path]
) -> None:
    jobs = [
        (file, output / part / below / file.relative_to(root))
        for item, part in zip(items, parts, strict=True)
        for file, root, below in item.files
    ]

    def lay(job: tuple[Path, Path]) -> None:
        file, target = job
        if file not in changed and (target.is_symlink() or target.exists()):
            return  # laid before, and perhaps edited since
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        if link == "hard":
            os.link(file, part)
        elif link == "symbolic":
            part.symlink_to(file.resolve())
        else:
            shutil.copy2(file, part)
        part.replace(target)

    try:
        for _ in each(lay, jobs, workers=workers, what="laying out", unit="file"):
            pass
    except OSError as error:
        raise UsageError(f"output={output}: {error.strerror}; try link=copy") from error
    there = {path for part in set(parts) for path in (output / part).rglob("[!.]*") if not path.is_dir()}
    if stale := there - {target for _, target in jobs}:
        log.warning("%d files whose source is gone stay in %s: %s …", len(stale), output, min(stale).name)


def _tell(
    rows: list[dict[str, str]],
    shares: dict[str, float],
    output: Path,
    near: int,
    left_out: dict[Path, str],
) -> None:
    files, total = Counter(row["part"] for row in rows), sum(shares.values())
    groups = Counter(part for part, _ in {(row["part"], row["group"]) for row in rows})
    lines = [
        f"{part:6} {files[part]:6} files {files[part] / len(rows):6.1%} (wanted {share / total:.1%}) "
        f"{groups[part]:6} groups"
        for part, share in shares.items()
    ]
    size, name = max((count, group) for group, count in Counter(row["group"] for row in rows).items())
    lines.append(f"largest group: {name}, {size} files; {near} near-duplicates joined groups")
    lines += [f"left out: {file}: {why}" for file, why in left_out.items()]
    (output / "report.txt").write_text("\n".join(lines) + "\n")
    log.info("%s", "\n".join(lines[: len(shares) + 1]))
    if left_out:
        log.warning("%d files left out, see %s: %s …", len(left_out), output / LEFT_OUT, next(iter(left_out)))
    off = max(abs(files[part] / len(rows) - share / total) for part, share in shares.items())
    if off > 0.05:  # a group is all or nothing
        log.warning("groups are too large for these shares; a finer group=… would come nearer")
    log.info("split in %s", output)
