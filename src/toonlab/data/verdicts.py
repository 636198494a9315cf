"""From facts about files to what they mean for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from toonlab.data.bars import Bars
from toonlab.data.ignore import Box
from toonlab.data.quality import Facts, Pair, outliers, same_pictures

Files = Mapping[str, Sequence[Facts]]
"""Sound files by the key that named their folder: `photos`, `val_cartoons`, ..."""

BAR_SHARE = 0.05
"""Of a domain's pictures with bars: below it they are single files, from it a property of the domain."""

_GREY_GAP = 0.3  # difference of the shares of grey pictures that a discriminator lives on
_ALPHA = 0.01
_PAD = 0.006  # of the picture: JPEG smears a bar's end


class Verdict(NamedTuple):
    """One line of a report: how bad, what, which files; `pairs` for duplicates."""

    level: Literal["ok", "look", "mend"]
    title: str
    text: str
    files: Sequence[str] = ()
    pairs: Sequence[Pair] = ()


def domain_of(key: str) -> str:
    """Return `photos` or `cartoons`."""
    return key.rpartition("_")[2]


def broken(rejected: Sequence[Facts], total: int) -> Verdict:
    """Judge files that cannot be decoded; training skips them, too."""
    rows = [f"{each.file} ({each.reason})" for each in rejected]
    text = (
        f"{len(rows)} of {total} cannot be decoded; training skips them"
        if rows
        else f"all {total} can be decoded"
    )
    return Verdict("look" if rows else "ok", "broken files", text, rows)


def tiny(files: Files, min_side: int) -> Verdict:
    """Judge pictures with a short side below `min_side`."""
    rows = [
        f"{each.file} ({each.width}x{each.height})"
        for part in files.values()
        for each in part
        if each.short < min_side
    ]
    text = f"{len(rows)} with a side below {min_side} pixels" if rows else f"none below {min_side} pixels"
    return Verdict("look" if rows else "ok", "tiny pictures", text, rows)


def doubles(files: Files, near: int) -> list[Verdict]:
    """Judge pictures that are there twice: within a folder, across parts (leaks), across domains.

    Across domains only equal files count: a cartoon may well be drawn after a photo.
    """
    whose = {each.file: key for key, part in files.items() for each in part}
    within, leaks, mixed = list[Pair](), list[Pair](), list[Pair]()
    for pair in same_pictures([each for part in files.values() for each in part], near):
        one, two = whose[pair.one.file], whose[pair.two.file]
        if domain_of(one) != domain_of(two):
            if pair.exact:
                mixed.append(pair)
        elif one != two:
            leaks.append(pair)
        else:
            within.append(pair)
    found = [
        _doubles("doubles within a folder", within, "look", "they count twice in training"),
    ]
    if len(files) > len({domain_of(key) for key in files}):
        found.append(
            _doubles(
                "leaks between parts",
                leaks,
                "mend",
                "scores on them are no scores; prepare.py split keeps them together",
            )
        )
    if len({domain_of(key) for key in files}) > 1:
        found.append(_doubles("the same file in both domains", mixed, "mend", "take them out of one"))
    return found


def _doubles(title: str, pairs: Sequence[Pair], level: Literal["look", "mend"], meaning: str) -> Verdict:
    if not pairs:
        return Verdict("ok", title, "none")
    exact = sum(pair.exact for pair in pairs)
    concerned = len({each.file for pair in pairs for each in pair[:2]})
    text = f"{len(pairs)} pairs of {concerned} files, {exact} byte by byte; {meaning}"
    rows = [f"{pair.one.file} = {pair.two.file}{'' if pair.exact else ' (nearly)'}" for pair in pairs]
    return Verdict(level, title, text, rows, pairs)


def grey(files: Files) -> Verdict:
    """Judge grey pictures among coloured ones."""
    of = _by_domain(files)
    shares = {name: float(np.mean([each.grey for each in part])) for name, part in of.items()}
    rows = [each.file for part in files.values() for each in part if each.grey]
    if not rows:
        return Verdict("ok", "grey pictures", "none")
    told = ", ".join(f"{share:.1%} of the {name}" for name, share in shares.items())
    if len(shares) > 1 and abs(np.diff(list(shares.values()))[0]) > _GREY_GAP:
        return Verdict("mend", "grey pictures", f"{told}: missing colour tells the domains apart", rows)
    return Verdict("look", "grey pictures", told, rows)


def odd(files: Files) -> list[Verdict]:
    """Judge sizes, proportions and compression: single outliers, and what differs between the domains."""
    measures: dict[str, Callable[[Facts], float]] = {
        "size": lambda each: each.short,
        "proportions": lambda each: each.width / each.height,
        "compression": lambda each: each.size / (each.width * each.height),
    }
    found = []
    for title, measure in measures.items():
        rows = [
            f"{part[i].file} ({_told(title, part[i])})"
            for part in files.values()
            for i in outliers([measure(each) for each in part])
        ]
        medians = {
            name: float(np.median([measure(each) for each in part]))
            for name, part in _by_domain(files).items()
        }
        told = ", ".join(f"{name} {_median(title, value)}" for name, value in medians.items())
        text = f"median {told}" + (f"; {len(rows)} far from the others" if rows else "")
        found.append(Verdict("look" if rows else "ok", title, text, rows))
    kinds = {name: Counter(each.kind for each in part) for name, part in _by_domain(files).items()}
    if len(kinds) > 1:
        one, two = (counter.most_common(1)[0] + (counter.total(),) for counter in kinds.values())
        if one[0] != two[0] and one[1] > 0.8 * one[2] and two[1] > 0.8 * two[2]:
            text = f"{one[0]} and {two[0]}: artefacts of compression may tell the domains apart"
            found.append(Verdict("look", "formats", text))
    return found


def bars(files: Files) -> tuple[Verdict, Box | None]:
    """Judge letterbox bars, and return what is left of a picture without them, if a domain has them.

    Shares of the domains are compared by Fisher's exact test at 1 %.
    """
    of = _by_domain(files)
    rows = [
        f"{each.file} ({_thickness(each.bars)})" for part in files.values() for each in part if each.bars.any
    ]
    if not rows:
        return Verdict("ok", "bars", "none"), None
    counts = {name: (sum(each.bars.any for each in part), len(part)) for name, part in of.items()}
    told = ", ".join(f"{n / total:.1%} of the {name}" for name, (n, total) in counts.items())
    if max(n / total for n, total in counts.values()) < BAR_SHARE:
        return Verdict("look", "bars", told, rows), None
    kept = [1.0, 1.0, 1.0, 1.0]
    for part in of.values():
        for side in range(4):
            thick = [each.bars[side] for each in part if each.bars[side] > 0]
            if len(thick) >= 0.02 * len(part) and thick:
                kept[side] = min(kept[side], 1 - float(np.quantile(thick, 0.98)) - _PAD)
    box = Box(1 - kept[0], 1 - kept[1], kept[2], kept[3])
    table = [[n, total - n] for n, total in counts.values()]
    if len(table) > 1 and float(stats.fisher_exact(table)[1]) < _ALPHA:
        return Verdict("mend", "bars", f"{told}: they tell the domains apart", rows), box
    return Verdict("look", "bars", f"{told}: the painter would learn to draw them", rows), box


def _by_domain(files: Files) -> dict[str, list[Facts]]:
    found = dict[str, list[Facts]]()
    for key, part in files.items():
        found.setdefault(domain_of(key), []).extend(part)
    return {name: part for name, part in found.items() if part}


def _told(title: str, each: Facts) -> str:
    if title == "compression":
        return f"{8 * each.size / (each.width * each.height):.2f} bits a pixel"
    return f"{each.width}x{each.height}"


def _median(title: str, value: float) -> str:
    if title == "compression":
        return f"{8 * value:.1f} bits a pixel"
    return f"{value:.0f} pixels" if title == "size" else f"{value:.2f}"


def _thickness(found: Bars) -> str:
    return ", ".join(f"{name} {value:.1%}" for name, value in found._asdict().items() if value)
