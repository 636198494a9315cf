"""The smoothest surface, and windows of holes."""

import numpy as np
import pytest
import torch

from toonlab import keyed
from toonlab.errors import UsageError
from toonlab.representations.inpainting.biharmonic import biharmonic, depth, scattered
from toonlab.representations.inpainting.draws import HoleDraws, solid
from toonlab.representations.inpainting.prefill import prefill


def dense(values, known):
    """The same problem, solved as least squares over all Laplacians written out one by one."""
    height, width = known.shape
    rows = []
    for y in range(height):
        for x in range(width):
            row = np.zeros((height, width))
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= ny < height and 0 <= nx < width:
                    row[ny, nx] += 1
                    row[y, x] -= 1
            rows.append(row.ravel())
    laplacian, free = np.array(rows), ~known.ravel()
    filled = values.copy().reshape(len(values), -1)
    for channel in filled:
        target = -laplacian[:, ~free] @ channel[~free]
        channel[free] = np.linalg.lstsq(laplacian[:, free], target, rcond=None)[0]
    return filled.reshape(values.shape)


def test_it_is_the_least_squares_solution_written_plainly() -> None:
    rng = np.random.default_rng(0)
    values, known = rng.normal(size=(2, 6, 7)), rng.random((6, 7)) > 0.5
    found = biharmonic(values, known)
    assert np.abs(found - dense(values, known)).max() < 1e-8
    assert (found[:, known] == values[:, known]).all()


def test_a_slope_is_continued_where_single_pixels_are_missing() -> None:
    slope = np.broadcast_to(np.linspace(-0.9, 0.9, 24), (1, 24, 24)).copy()
    known = np.random.default_rng(1).random((24, 24)) > 0.2
    known[:, [0, 1, -2, -1]] = True  # away from the border, where the surface levels out
    assert np.abs(biharmonic(slope, known) - slope).max() < 1e-9


def test_auto_is_biharmonic_for_single_pixels_and_navier_stokes_for_holes() -> None:
    rng = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1
    single, hole = (torch.rand(1, 1, 32, 32, generator=rng) > 0.2).float(), torch.ones(1, 1, 32, 32)
    hole[..., 8:24, 8:24] = 0
    assert torch.equal(prefill(photo, single, "auto"), prefill(photo, single, "biharmonic"))
    assert torch.equal(prefill(photo, hole, "auto"), prefill(photo, hole, "ns"))
    for known in (single, hole):
        there = known.expand_as(photo) > 0
        assert torch.equal(prefill(photo, known, "auto")[there], photo[there])


def test_scattered_means_few_and_near() -> None:
    known = np.ones((20, 20), bool)
    known[::2, ::2] = False
    assert scattered(known)
    assert depth(known).max() == 1
    known[4:16, 4:16] = False
    assert not scattered(known)
    grid = np.zeros((20, 20), bool)
    grid[::4, ::4] = True
    assert not scattered(grid)


def test_solid_keeps_wide_regions_as_they_are_and_drops_single_pixels() -> None:
    box = torch.ones(1, 1, 20, 20)
    box[..., 6:12, 6:12] = 0
    assert torch.equal(solid(box, 5), box)
    grid = torch.zeros(1, 1, 20, 20)
    grid[..., ::4, ::4] = 1
    assert not solid(grid, 5).any()


@pytest.mark.parametrize("kind", ["box", "blocks", "random", "half", "grid"])
def test_a_drawn_hole_has_the_share_asked_for_and_its_key_decides(kind: str) -> None:
    draw = HoleDraws(kinds=[kind], scale=2.0, shares=[0.05, 0.95], random_shares=[0.2, 0.8])
    masks = [draw(24, 32, keyed.generator("holes", i)) for i in range(20)]
    again = [draw(24, 32, keyed.generator("holes", i)) for i in range(20)]
    for mask, same in zip(masks, again, strict=True):
        assert mask.shape == (1, 24, 32)
        assert 0.05 <= 1 - float(mask.mean()) <= 0.95
        assert torch.equal(mask, same)
    assert any(not torch.equal(masks[0], mask) for mask in masks[1:])


def test_kinds_that_do_not_exist_or_never_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"blokcs.*did you mean 'blocks'"):
        HoleDraws(kinds=["blokcs"], scale=2.0, shares=[0, 1], random_shares=[0.2])
    never = HoleDraws(kinds=["grid"], scale=1.0, shares=[0.0, 0.5], random_shares=[0.2])
    with pytest.raises(UsageError, match="no hole of grid"):
        never(32, 32, keyed.generator(0))
