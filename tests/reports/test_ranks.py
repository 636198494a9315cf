"""Ranks against their definition, and by hand."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from toonlab.reports.ranks import Rank, ranks

numbers = st.floats(-10, 10)
spans = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


def test_by_hand() -> None:
    spans = [(0.1, 0.2), (0.3, 0.5), (0.4, 0.6), None]
    assert ranks(spans, "lower") == [Rank(1, 1, 3), Rank(2, 3, 3), Rank(2, 3, 3), None]
    assert ranks(spans, "higher") == [Rank(3, 3, 3), Rank(1, 2, 3), Rank(1, 2, 3), None]
    assert [str(rank) for rank in ranks(spans, "lower")[:2]] == ["1 of 3", "2 to 3 of 3"]
    assert str(ranks([(0.0, 1.0), (1.0, 2.0)], "lower")[0]) == "not separated"  # they touch


def test_nothing_to_rank() -> None:
    assert ranks([(0.0, 1.0)], "lower") == [None]
    assert ranks([(0.0, 1.0), (2.0, 3.0)], "toward 1/2") == [None, None]
    assert ranks([None, (0.0, 1.0)], "lower") == [None, None]


@given(st.lists(spans, min_size=2, max_size=5))
def test_every_order_that_the_intervals_allow_keeps_within_the_ranks(
    found: list[tuple[float, float]],
) -> None:
    """Put each run anywhere in its interval: its place is within its rank, whichever ends are taken."""
    placed = ranks(found, "lower")
    for values in itertools.product(*found):
        for value, rank in zip(values, placed, strict=True):
            assert rank is not None
            assert rank.best <= sum(other <= value for other in values)
            assert 1 + sum(other < value for other in values) <= rank.worst
            assert 1 <= rank.best <= rank.worst <= rank.of
