"""Splits without leaks: what belongs together stays together, and the parts get about their shares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from toonlab import keyed
from toonlab.data.hashes import joined, near_pairs
from toonlab.errors import UsageError

WAYS = ("folder", "prefix", "file")


def source_of(path: PurePath, by: str) -> str:
    """Return the name of what a file was taken from, by its relative path.

    Args:
        path: relative to the folder that is split.
        by: `folder`: the folder it lies in; a file that lies in none is a source of its own. `prefix`: the
            path up to the first `_` of the file's name. `file`: the file itself. Anything else is a regular
            expression, searched in the path: its groups, or else all it matched; without a match, the file.

    Raises:
        UsageError: the regular expression is none.
    """
    whole = path.as_posix()
    if by == "folder":
        return path.parent.as_posix() + "/" if len(path.parts) > 1 else whole
    if by == "prefix":
        head, mark, _ = path.stem.partition("_")
        return path.with_name(head + mark).as_posix() if head and mark else whole
    if by == "file":
        return whole
    try:
        found = re.search(by, whole)
    except re.error as error:
        raise UsageError(
            f"group={by}: neither {', '.join(WAYS)} nor a regular expression ({error})"
        ) from error
    return "|".join(found.groups("") or (found[0],)) if found else whole


def groups_of(
    sources: Sequence[str], hashes: Sequence[Sequence[int]], most: int | None
) -> tuple[list[str], list[tuple[int, int]]]:
    """Join items of one source, and items that are nearly the same picture, through any chain.

    Args:
        sources: of each item, what it was taken from.
        hashes: one list or more (photos, cartoons), each with a hash for each item.
        most: bits by which near-duplicates may differ; None joins by source alone.

    Returns:
        Of each item, the source that its group is called after; and the near-duplicates of different sources.
    """
    first: dict[str, int] = {}
    same = [(first.setdefault(source, i), i) for i, source in enumerate(sources)]
    near = [pair for one in hashes for pair in near_pairs(one, most)] if most is not None else []
    roots = joined(len(sources), same + near)
    return [sources[root] for root in roots], [(a, b) for a, b in near if sources[a] != sources[b]]


def assign(
    groups: Sequence[str], shares: Mapping[str, float], *, seed: int, kept: Mapping[str, str]
) -> dict[str, str]:
    """Return each group's part: the largest groups first, each to the part that lacks most.

    Groups of equal size come in an order that the seed draws, so that no part gets the first of the
    alphabet. A group in `kept` stays where it was, whatever was added since.

    Args:
        groups: of each file, its group.
        shares: of each part, its share of all files; they need not add up to one.
        seed: of the order.
        kept: parts of groups that an earlier split decided.

    Raises:
        UsageError: there are fewer groups than parts.
    """
    sizes = Counter(groups)
    if len(sizes) < len(shares):
        raise UsageError(
            f"{len(groups)} files make {len(sizes)} groups, too few for {', '.join(shares)}; "
            "choose a finer group=… or fewer parts"
        )
    total, wanted = sum(shares.values()), len(groups)
    lacks = {part: share / total * wanted for part, share in shares.items()}
    parts: dict[str, str] = {}
    order = sorted(sizes, key=lambda g: (g not in kept, -sizes[g], keyed.seed_of(seed, "split", g)))
    for left, group in zip(range(len(order) - 1, -1, -1), order, strict=True):
        empty = [part for part in shares if part not in parts.values()]
        # The last groups are for the parts that would else have none.
        open_to = empty if empty and left < len(empty) else shares
        parts[group] = kept.get(group) or max(open_to, key=lambda part: lacks[part])
        lacks[parts[group]] -= sizes[group]
    return parts
