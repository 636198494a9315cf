"""What tiles need: how far networks look, and statistics of crops that stand for the whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toonlab.errors import UsageError
from toonlab.inference import tiling
from toonlab.networks.animegan import AnimeGeneratorV2
from toonlab.networks.resnet import ResnetGenerator

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
        (lambda: AnimeGeneratorV2(width=4), 6, 2),
    ],
    ids=["cartoongan", "animegan_v2"],
)
def test_sampled_statistics_are_near_the_wholes(
    make: Callable[[], nn.Module], levels: float, times: float
) -> None:
    network = seeded(make)
    picture = photo(400, 600)
    crops = [picture[..., rows, columns] for rows, columns in tiling.sample_windows(400, 600, 192, 4)]
    with torch.inference_mode():
        whole = network(picture)
        with tiling.fixed_statistics(network):
            network(torch.cat(crops))
            sampled = network(picture)
        with tiling.fixed_statistics(network):
            network(picture[..., :192, :192])
            corner = network(picture)
    # In levels of 255, on average; and nearer than with the statistics of the first tile.
    error, corner_error = ((x - whole).abs().mean() * 127.5 for x in (sampled, corner))
    assert error < levels
    assert error < corner_error / times


def test_samples_span_the_picture_within_their_budget() -> None:
    found = tiling.sample_windows(1000, 700, 256, 4)
    assert len(found) == 64
    assert {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in found} == {(32, 32)}
    assert 64 * 32 * 32 <= 256**2
    assert (found[0], found[-1]) == ((slice(0, 32), slice(0, 32)), (slice(968, 1000), slice(668, 700)))
    narrow = tiling.sample_windows(20, 700, 256, 4)
    assert all(rows == slice(0, 20) for rows, _ in narrow)
