"""The bank's distance by hand and by brute force, and its index against the exact search."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor, nn

from toonlab.representations.inpainting.bank import LatentBank, deviation, to_half
from toonlab.representations.inpainting.holes import hole
from toonlab.representations.inpainting.latent_mask import known_cells
from toonlab.representations.inpainting.pooled import PooledIndex, pool


def latents(n: int, channels: int = 3, side: int = 4, seed: int = 0) -> Tensor:
    # Halves are exact: the bank keeps fp16.
    values = torch.randint(-8, 9, (n, channels, side, side), generator=torch.Generator().manual_seed(seed))
    return values / 2


def test_the_distance_by_hand() -> None:
    maps = torch.zeros(2, 2, 1, 3)
    maps[1, 0, 0, 0], maps[1, 1, 0, 1], maps[1, 0, 0, 2] = 3, 4, 100
    known = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    distances, indices = LatentBank.of(maps).nearest(torch.zeros(1, 2, 1, 3), known, 2)
    assert indices.tolist() == [[0, 1]]
    assert distances.tolist() == [[0, (9 + 16) / 2]]  # over two known cells; the 100 lies in the hole


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 20), share=st.sampled_from([0.0, 0.3, 0.7]))
def test_nearest_is_brute_force(seed: int, n: int, share: float) -> None:
    maps, queries = latents(n, seed=seed), latents(2, seed=seed + 1)
    known = (torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) > share).float()
    k = min(3, n)
    distances, indices = LatentBank.of(maps).nearest(queries, known, k)
    for b in range(2):
        mask = known[b] if known[b].any() else torch.ones(1, 4, 4)
        by_hand = [float(((each - queries[b]).square() * mask).sum() / mask.sum()) for each in maps]
        assert distances[b].tolist() == pytest.approx(sorted(by_hand)[:k], rel=1e-5)
        assert [by_hand[i] for i in indices[b]] == pytest.approx(sorted(by_hand)[:k], rel=1e-5)


def test_without_known_cells_the_whole_latent_decides() -> None:
    maps = latents(9)
    distances, indices = LatentBank.of(maps).nearest(maps[4:5], torch.zeros(1, 1, 4, 4), 1)
    assert (indices.tolist(), distances.tolist()) == ([[4]], [[0]])


def test_another_size_is_compared_and_returned_at_the_queries_own() -> None:
    maps = latents(6, side=4)
    bank = LatentBank.of(maps)
    large = maps[2:3].repeat_interleave(2, 2).repeat_interleave(2, 3)
    known = torch.ones(1, 1, 8, 8)
    known[..., 2:4, 2:4] = 0  # exactly one of the bank's cells
    large[..., 2:4, 2:4] = 99
    distances, indices = bank.nearest(large, known, 1)
    assert (indices.tolist(), distances.tolist()) == ([[2]], [[0]])
    assert bank.maps(indices[0], size=(8, 8)).shape == (1, 3, 8, 8)
    assert torch.equal(bank.maps(torch.tensor([5, 2])), maps[[5, 2]])


def test_mistakes_and_ranges() -> None:
    bank = LatentBank.of(latents(3))
    for latent, k in (
        (torch.zeros(1, 4, 4, 4), 1),
        (torch.zeros(1, 3, 4, 4), 4),
        (torch.zeros(1, 3, 4, 4), 0),
    ):
        with pytest.raises(ValueError, match="a bank of 3 maps"):
            bank.nearest(latent, torch.ones(1, 1, 4, 4), k)
    assert np.isfinite(to_half(torch.tensor([1e6, -1e6]))).all()


def test_channel_std_is_over_all_places_and_maps() -> None:
    maps = latents(7)
    expected = maps.double().transpose(0, 1).flatten(1).std(dim=1, unbiased=False)
    torch.testing.assert_close(LatentBank.of(maps).channel_std(), expected.float())
    assert float(deviation(to_half(torch.ones(2, 1, 2, 2)))) > 0  # something is divided by it


def test_pooled_by_hand() -> None:
    latent = torch.stack([torch.arange(256.0).view(16, 16), torch.ones(16, 16)])
    assert pool(latent).shape == (64, 3)
    # The first part holds 0, 1, 16, 17, and ones.
    assert pool(latent)[0].tolist() == [8.5, 1, (0 + 1 + 256 + 289) / 4 + 1]
    assert pool(latent[:1, :1, :2]).tolist() == [[0, 0], [1, 1]]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), share=st.sampled_from([0.0, 0.4, 0.9]))
def test_the_index_is_exact_where_a_part_is_a_cell(seed: int, share: float) -> None:
    maps, query = latents(12, side=8, seed=seed), latents(1, side=8, seed=seed + 1)[0]
    known = (torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(seed)) >= share).float()
    known[0, 1, 2] = 1
    found = PooledIndex(np.stack([pool(each) for each in maps])).search(query, known, 12)
    by_hand = [float(((each - query).square() * known).sum()) for each in maps]
    assert [by_hand[i] for i in found] == pytest.approx(sorted(by_hand), abs=1e-4)


def photos(n: int, side: int = 64) -> Tensor:
    """Overlapping cuts of four photographs, at their own scale and at half of it."""
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    rng = np.random.default_rng(0)
    cuts = []
    for i in range(n):
        source, step = sources[i % 4], 1 + i // 4 % 2
        top, left = (rng.integers(0, length - side * step) for length in source.shape[:2])
        cuts.append(source[top : top + side * step : step, left : left + side * step : step])
    return torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2) / 127.5 - 1


def encoder() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 16, 7, 2, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.InstanceNorm2d(16), nn.ReLU()
        )


@pytest.mark.parametrize("kind", ["box", "blocks", "half"])
def test_index_and_reranking_find_what_the_exact_search_finds(kind: str) -> None:
    with torch.no_grad():
        network, clean = encoder(), photos(640)
        maps, queries = network(clean[:600]), clean[600:]
        holes = [hole(kind, 64, 64, torch.Generator().manual_seed(i)) for i in range(40)]
        known = torch.stack(holes)
        found = network(queries * known)
    cells = known_cells(known, 4, 1)
    exact = LatentBank.of(maps, exact_up_to=600).nearest(found, cells, 1)
    quick = LatentBank.of(maps, exact_up_to=10, shortlist=40).nearest(found, cells, 1)
    agree = exact[1] == quick[1]
    assert float(agree.float().mean()) >= 0.95
    torch.testing.assert_close(quick[0][agree], exact[0][agree])
    # Where it misses, it misses by little.
    assert float((quick[0] / exact[0]).max()) < 1.3
