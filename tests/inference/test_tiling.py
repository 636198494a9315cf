"""Tiles: what covers what, how far networks look, and that the joins cannot be seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference import tiling
from toonlab.networks.animegan import AnimeGeneratorV1, AnimeGeneratorV2
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

CPU = torch.device("cpu")


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth shapes plus fine noise, as photographs have."""
    rng = torch.Generator().manual_seed(seed)
    shapes = F.interpolate(
        torch.rand(1, 3, 6, 8, generator=rng) * 2 - 1, size=(height, width), mode="bicubic"
    )
    return (shapes + torch.randn(1, 3, height, width, generator=rng) * 0.1).clamp(-1, 1)


@given(
    cells=st.integers(1, 300),
    tile_cells=st.integers(1, 40),
    overlap=st.integers(0, 30),
    multiple=st.sampled_from([1, 2, 4]),
)
def test_windows_cover_once_and_keep_their_distance(
    cells: int, tile_cells: int, overlap: int, multiple: int
) -> None:
    length, tile = cells * multiple, tile_cells * multiple
    try:
        found = tiling.windows(length, tile, overlap, multiple)
    except UsageError:
        assert length > tile
        assert tile < 2 * overlap + multiple
        return
    at = 0
    for seen, kept, place in found:
        assert place.start == at  # no gap, nothing twice
        assert (seen.start + kept.start, seen.start + kept.stop) == (place.start, place.stop)
        assert 0 <= seen.start < seen.stop <= length
        assert seen.start % multiple == 0
        assert (seen.stop - seen.start) % multiple == 0
        assert seen.stop - seen.start <= tile
        assert seen.start == 0 or kept.start >= overlap
        assert seen.stop == length or seen.stop - place.stop >= overlap
        at = place.stop
    assert at == length


def test_the_tile_that_is_asked_for_when_one_is_too_small_is_large_enough() -> None:
    with pytest.raises(UsageError, match=r"tile=64 is too small .* use tile=248 or more"):
        tiling.windows(1000, 64, 62, 4)
    assert tiling.windows(1000, 248, 62, 4)


@pytest.mark.parametrize(
    ("network", "multiple", "distance"),
    [
        # Half kernels add up: 3; then 1 + 2.
        (nn.Conv2d(3, 3, 7, padding=3), 1, 3),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 5, padding=2)), 1, 3),
        # Longer one way than the other: width counts too.
        (nn.Conv2d(3, 3, (3, 11), padding=(1, 5)), 1, 5),
        # Output 2i and 2i+1 both see inputs 2i-1 .. 2i+1: the latter looks back by 2.
        (nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.Upsample(scale_factor=2)), 2, 2),
        # A norm is held fixed: as far as the convolution.
        (nn.Sequential(nn.Conv2d(3, 3, 5, padding=2), nn.InstanceNorm2d(3)), 1, 2),
        (nn.Sequential(nn.Conv2d(3, 3, 5, padding=2), nn.GroupNorm(1, 3)), 1, 2),
    ],
)
def test_reach_is_the_receptive_field(network: nn.Module, multiple: int, distance: int) -> None:
    assert tiling.reach(network.eval(), multiple, CPU) == distance


def test_a_layer_that_mixes_the_whole_picture_is_refused() -> None:
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(dim=(2, 3), keepdim=True)

    with pytest.raises(UsageError, match=r"Centred looks beyond 256 pixels.*tile=null"):
        tiling.reach(Centred(), 1, CPU)


def test_resizing_by_corners_is_refused() -> None:
    # Its sampling grid stretches with the size: tiles would be shifted against each other.
    with pytest.raises(UsageError, match=r"align_corners=true.*tile=null"):
        tiling.reach(AnimeGeneratorV2(width=2, align_corners=True), 4, CPU)


@pytest.mark.parametrize(("size", "most_tiles"), [((300, 412), 12), ((64, 1200), 3), ((1200, 64), 3)])
def test_tiles_equal_the_whole_where_the_network_is_local(size: tuple[int, int], most_tiles: int) -> None:
    unet = seeded(lambda: UNet(width=4, blocks=1))
    picture = photo(*size)
    seen = []
    with torch.inference_mode():
        overlap = tiling.reach(unet, 4, CPU)
        whole = unet(picture)
        parts = tiling.in_tiles(
            lambda x: seen.append(x.shape[-2] * x.shape[-1]) or unet(x),
            picture,
            tile=200,
            overlap=overlap,
            multiple=4,
        )
    assert 1 < len(seen) <= most_tiles  # strips get longer tiles
    assert max(seen) <= 200**2
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
    # The test can see a join: an overlap of one cell is not enough.
    with torch.inference_mode():
        short = tiling.in_tiles(unet, picture, tile=200, overlap=4, multiple=4)
    assert (short - whole).abs().max() > 1e-3


def test_progress_counts_every_tile() -> None:
    calls = []
    tiling.in_tiles(
        lambda x: x, photo(40, 60), tile=20, overlap=0, multiple=4, on_tile=lambda *c: calls.append(c)
    )
    assert calls == [(i, 6) for i in range(1, 7)]


def test_fixed_statistics_are_those_of_the_first_batch_as_one_picture() -> None:
    norm = nn.InstanceNorm2d(3, affine=True).eval()
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.5, 1.0])
    left, right, other = photo(8, 8, 1), photo(8, 8, 2), photo(8, 8, 3)
    with torch.no_grad(), tiling.fixed_statistics(norm) as are_needed:
        assert are_needed
        halves = norm(torch.cat([left, right]))
        after = norm(other)
    # Two crops side by side are one picture of twice the width.
    side_by_side = torch.cat([left, right], dim=3)
    with torch.no_grad():
        whole = norm(side_by_side)
    torch.testing.assert_close(torch.cat([halves[:1], halves[1:]], dim=3), whole)
    mean, std = side_by_side.mean((0, 2, 3)), (side_by_side.var((0, 2, 3), correction=0) + norm.eps).sqrt()
    by_hand = (other[0] - mean[:, None, None]) / std[:, None, None]
    by_hand = by_hand * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(after[0], by_hand.detach())


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_group_norms_fixed_statistics_are_shared_by_its_channels(groups: int) -> None:
    norm = nn.GroupNorm(groups, 4).eval()
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 0.5, 1.0, 2.0])
    rng = torch.Generator().manual_seed(0)
    scales = torch.tensor([1.0, 2.0, 5.0, 0.1])[:, None, None]
    first, other = (torch.randn(2, 4, 6, 5, generator=rng) * scales for _ in range(2))
    with torch.no_grad(), tiling.fixed_statistics(norm) as are_needed:
        assert are_needed
        settled, after = norm(first), norm(other)
    # Both crops side by side, through torch's own norm.
    with torch.no_grad():
        whole = norm(torch.cat([first[:1], first[1:]], dim=3))
    torch.testing.assert_close(torch.cat([settled[:1], settled[1:]], dim=3), whole)
    size = 4 // groups
    for channel in range(4):
        start = channel // size * size
        pooled = first[:, start : start + size]
        by_hand = (other[:, channel] - pooled.mean()) / (pooled.var(correction=0) + norm.eps).sqrt()
        by_hand = by_hand * norm.weight[channel].detach() + norm.bias[channel].detach()
        torch.testing.assert_close(after[:, channel], by_hand)


@pytest.mark.parametrize(
    "make", [lambda: ResnetGenerator(width=4, blocks=1), lambda: AnimeGeneratorV2(width=2)]
)
def test_fixed_statistics_leave_no_trace_even_after_an_error(make: Callable[[], nn.Module]) -> None:
    network = seeded(make)
    picture = photo(32, 32)
    other = photo(32, 32, seed=5)

    def interrupted() -> None:
        with tiling.fixed_statistics(network):
            network(other)
            raise KeyboardInterrupt

    with torch.no_grad():
        before, keys = network(picture), set(network.state_dict())
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert torch.equal(network(picture), before)
    assert set(network.state_dict()) == keys


@pytest.mark.parametrize(
    ("make", "levels", "times"),
    [
        (lambda: ResnetGenerator(width=8, blocks=1), 6, 2),
        # 35 norms behind one another: untrained, it magnifies what little the statistics are off.
        (lambda: AnimeGeneratorV1(width=4), 30, 1),
        (lambda: AnimeGeneratorV2(width=4), 6, 2),
    ],
    ids=["cartoongan", "animegan_v1", "animegan_v2"],
)
def test_norms_leave_no_seams_and_stay_near_the_whole(
    make: Callable[[], nn.Module], levels: float, times: float
) -> None:
    network = seeded(make)
    picture = photo(400, 600)
    with torch.inference_mode():
        whole = network(picture)
        overlap = tiling.reach(network, 4, CPU)
        kwargs = {"tile": 192, "overlap": overlap, "multiple": 4}
        with tiling.fixed_statistics(network):
            network(tiling.sample(picture, 192, 4))
            same = network(picture)  # the whole picture under the same fixed statistics
            tiled = tiling.in_tiles(network, picture, **kwargs)
        naive = tiling.in_tiles(network, picture, **kwargs)
    # No seam at all: the tiles are what one pass over the whole picture would give.
    torch.testing.assert_close(tiled, same, atol=1e-4, rtol=0)  # a hundredth of a level: AnimeGAN is deep
    # Near the untiled result (in levels of 255, on average), and nearer than tiles left to themselves.
    error, naive_error = ((x - whole).abs().mean() * 127.5 for x in (tiled, naive))
    assert error < levels
    assert error < naive_error / times


def test_sample_spans_the_picture_within_its_budget() -> None:
    rows = torch.arange(1000.0).reshape(1, 1, -1, 1).expand(1, 3, -1, 700)
    crops = tiling.sample(rows, 256, 4)
    assert crops.shape == (64, 3, 32, 32)
    assert crops.numel() / 3 <= 256**2
    assert (crops.min(), crops.max()) == (0, 999)
    assert crops.mean() == pytest.approx(499.5, abs=1)
    assert tiling.sample(rows[..., :20, :], 256, 4).shape == (64, 3, 20, 32)
