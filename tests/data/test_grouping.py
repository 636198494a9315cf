"""Groups never straddle, shares are kept as well as groups permit, and what was decided stays."""

from collections import Counter
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab.data.grouping import assign, groups_of, source_of
from toonlab.errors import UsageError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@pytest.mark.parametrize(
    ("by", "path", "source"),
    [
        ("folder", "film/0001.png", "film/"),
        ("folder", "a/b/0001.png", "a/b/"),
        ("folder", "0001.png", "0001.png"),
        ("prefix", "a/7_crop2.png", "a/7_"),
        ("prefix", "plain.png", "plain.png"),
        ("file", "a/b.png", "a/b.png"),
        (r"s(\d+)_", "bbb_s012_03.jpg", "012"),
        (r"s\d+", "bbb_s012_03.jpg", "s012"),
        (r"(\w)/(\d)", "a/7_x.jpg", "a|7"),
        (r"s(\d+)_", "other.jpg", "other.jpg"),
    ],
)
def test_the_source_is_read_from_the_name(by: str, path: str, source: str) -> None:
    assert source_of(PurePath(path), by) == source


def test_a_wrong_pattern_is_told() -> None:
    with pytest.raises(UsageError, match=r"group=\(: neither folder"):
        source_of(PurePath("a"), "(")


def test_sources_and_near_duplicates_are_joined_through_any_chain() -> None:
    far = [0, 2**64 - 1, 0xFFFF, 0xFFFF0000FFFF, 0b1, 2**63]
    groups, near = groups_of(["a", "a", "b", "c", "d", "e"], [far], 1)
    assert groups == ["a", "a", "b", "c", "a", "a"]  # d is one bit from 0, and so is e
    assert sorted(near) == [(0, 4), (0, 5)]
    assert groups_of(["a", "a", "b", "c", "d", "e"], [far], None)[0] == ["a", "a", "b", "c", "d", "e"]


def test_pairs_are_joined_by_either_side() -> None:
    groups, _ = groups_of(["a", "b", "c"], [[0, 2**40 - 1, 2**64 - 1], [5, 2**50 - 1, 5]], 2)
    assert groups == ["a", "b", "a"]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=60),
    seed=st.integers(0, 10),
    shares=st.sampled_from([SHARES, {"train": 1.0, "test": 1.0}, {"only": 2.0}]),
)
@settings(max_examples=150, deadline=None)
def test_every_part_gets_about_its_share(sizes: list[int], seed: int, shares: dict[str, float]) -> None:
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    parts = assign(groups, shares, seed=seed, kept={})
    assert parts.keys() == set(groups)
    counts = Counter(parts[group] for group in groups)
    assert counts.keys() == shares.keys()  # none is empty
    assert parts == assign(groups[::-1], shares, seed=seed, kept={})
    total = sum(shares.values())
    for part, share in shares.items():
        # Too much by one group at most, unless it is the part's only one.
        alone = sum(1 for group in parts if parts[group] == part) == 1
        assert alone or counts[part] <= share / total * len(groups) + max(sizes)


def test_equal_groups_reach_the_shares_exactly_and_the_seed_draws_them() -> None:
    groups = [f"{i:03d}" for i in range(200)]
    first, other = (assign(groups, SHARES, seed=seed, kept={}) for seed in (0, 1))
    assert Counter(first.values()) == {"train": 160, "val": 20, "test": 20}
    assert first != other
    held = [i for i, group in enumerate(groups) if first[group] != "train"]
    assert max(held) > 150  # not a block of the alphabet
    assert min(held) < 50


def test_what_an_earlier_split_decided_stays() -> None:
    groups = [f"{i:03d}" for i in range(50)]
    before = assign(groups, SHARES, seed=0, kept={})
    after = assign([*groups, *(f"new{i}" for i in range(50))], SHARES, seed=0, kept=before)
    assert before.items() <= after.items()
    assert Counter(after.values()) == {"train": 80, "val": 10, "test": 10}


def test_too_few_groups_are_told() -> None:
    with pytest.raises(UsageError, match="4 files make 2 groups, too few for train, val, test"):
        assign(["a", "a", "b", "b"], SHARES, seed=0, kept={})
