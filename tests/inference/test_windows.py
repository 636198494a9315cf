"""Tiles: what covers what, and how far what is kept lies from what was not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab.errors import UsageError
from toonlab.inference.windows import grid


@given(
    cells=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.integers(16, 160),
    halo=st.integers(0, 30),
    multiple=st.sampled_from([1, 2, 4]),
    margin=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_windows_cover_once_and_keep_their_distance(
    cells: tuple[int, int], tile: int, halo: int, multiple: int, margin: int
) -> None:
    size = height, width = cells[0] * multiple, cells[1] * multiple
    try:
        windows = grid(height, width, tile=tile, halo=halo, multiple=multiple)
    except UsageError:
        assert height * width > tile**2
        return
    kept, finished = np.zeros(size, int), np.zeros(size, int)
    odd = max(height - multiple + 1, 1), max(width - multiple + 1, 1)  # of a photo that was padded to this
    places = np.arange(height * width).reshape(size)
    for window in windows:
        kept[window.kept] += 1
        assert places[window.seen].size <= tile**2
        for seen, keep, length in zip(window.seen, window.kept, size, strict=True):
            assert 0 <= seen.start <= keep.start < keep.stop <= seen.stop <= length
            assert all(n % multiple == 0 for n in (seen.start, seen.stop, keep.start, keep.stop))
            assert seen.start == 0 or keep.start - seen.start >= halo
            assert seen.stop == length or seen.stop - keep.stop >= halo
        assert (places[window.seen][window.inside()] == places[window.kept]).all()
        at = window.finished(margin, *odd)
        assert (places[window.seen][at.painted] == places[at.place]).all()
        assert (places[at.place][at.kept] == places[at.goal]).all()
        finished[at.goal] += 1
    assert (kept == 1).all()  # no gap, nothing twice
    assert (finished[: odd[0], : odd[1]] == 1).all()
    assert finished.sum() == odd[0] * odd[1]


def test_strips_get_longer_tiles() -> None:
    # 200² / 64 is 625 long: 608 are kept of it, so two do.
    assert len(grid(64, 1200, tile=200, halo=8, multiple=4)) == 2
    assert len(grid(1200, 64, tile=200, halo=8, multiple=4)) == 2


def test_the_tile_that_is_asked_for_when_one_is_too_small_is_large_enough() -> None:
    with pytest.raises(UsageError, match=r"tile=64 is too small .* use tile=256 or more"):
        grid(1000, 1000, tile=64, halo=62, multiple=4)
    assert grid(1000, 1000, tile=256, halo=62, multiple=4)
