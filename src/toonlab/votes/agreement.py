"""How far raters agree beyond chance: 1 is always, 0 as often as chance would have it, below 0 less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

Item = Mapping[str, Hashable]
"""What each rater who was asked said of one photo, or of one pair of pictures."""


def fleiss(items: Sequence[Item]) -> float | None:
    """Return Fleiss' κ over the items that all raters have answered; None where it has no value.

    It has none with one rater, without such items, or if all say the same all the time: nothing then tells
    agreement from habit.
    """
    raters = {rater for item in items for rater in item}
    whole = [Counter(item.values()) for item in items if len(item) == len(raters)]
    n = len(raters)
    if n < 2 or not whole:
        return None
    seen = sum((sum(c * c for c in item.values()) - n) / (n * (n - 1)) for item in whole) / len(whole)
    totals = sum(whole, Counter())
    chance = sum((count / (n * len(whole))) ** 2 for count in totals.values())
    return None if chance >= 1 else (seen - chance) / (1 - chance)


def krippendorff(items: Sequence[Item]) -> float | None:
    """Return Krippendorff's alpha for names; items that one rater alone has answered say nothing.

    None where it has no value, see `fleiss`.
    """
    paired = [Counter(item.values()) for item in items if len(item) > 1]
    totals = sum(paired, Counter())
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    if n < 2 or not expected:
        return None
    observed = sum(
        (sum(item.values()) ** 2 - sum(count * count for count in item.values())) / (sum(item.values()) - 1)
        for item in paired
    )
    return 1 - (n - 1) * observed / expected


def both_ways(items: Sequence[Mapping[str, int]]) -> list[Item]:
    """Return answers to "the first or the second of two?" (0 or 1) once as they are and once turned round.

    Which of two models is called the first is nobody's answer. Counted both ways, chance is one half, always
    (Brennan and Prediger's κ), and a winner of every pair is not mistaken for a rater's habit.
    """
    return [*items, *({rater: 1 - answer for rater, answer in item.items()} for item in items)]
