"""Mask-aware InstanceNorm: statistics by hand, plain where nothing is missing, no trace afterwards."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from toonlab.networks.known_norm import known_statistics
from toonlab.networks.layers import instance_norm
from toonlab.networks.resnet import ResnetGenerator


def photos(n: int = 2, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def boxed(n: int = 2, side: int = 32) -> Tensor:
    known = torch.ones(n, 1, side, side)
    known[..., 8:20, 4:28] = 0
    return known


@pytest.fixture
def generator() -> ResnetGenerator:
    torch.manual_seed(0)
    return ResnetGenerator(width=4, blocks=1).eval().requires_grad_(False)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99))
def test_statistics_are_those_of_the_known_pixels(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    norm, x = instance_norm(2, eps=1e-3), torch.randn(1, 2, 6, 7, generator=rng)
    known = (torch.rand(1, 1, 6, 7, generator=rng) > 0.5).float()
    known[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.5, -1.0]))
        with known_statistics(norm, known):
            found = norm(x)
    for c in range(2):
        seen = x[0, c][known[0, 0] == 1].double()
        z = (x[0, c] - seen.mean()) / (seen.var(unbiased=False) + 1e-3).sqrt()
        expected = z * norm.weight[c] + norm.bias[c]
        torch.testing.assert_close(found[0, c], expected.detach().float(), atol=1e-5, rtol=1e-4)


def test_on_a_smaller_map_places_count_by_their_known_share() -> None:
    norm, x = nn.InstanceNorm2d(1, eps=0.0), torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)
    known = torch.ones(1, 1, 2, 4)
    known[..., 1, 2:] = (
        0  # the right half is half known: mean (0 + 4 / 2) / 1.5, variance (16/9 + 64/9 / 2) / 1.5
    )
    with known_statistics(norm, known):
        found = norm(x).flatten()
    mean, deviation = 4 / 3, (32 / 9) ** 0.5
    torch.testing.assert_close(found, torch.tensor([-mean, 4 - mean]) / deviation)


def test_all_known_or_nothing_known_is_the_plain_network_bit_by_bit(generator: ResnetGenerator) -> None:
    plain = generator(photos())
    for known in (torch.ones(2, 1, 32, 32), torch.zeros(2, 1, 32, 32), torch.ones(1, 1, 32, 32)):
        with known_statistics(generator, known):
            assert torch.equal(generator(photos()), plain)
    mixed = boxed()
    mixed[0] = 1
    with known_statistics(generator, mixed):
        painted = generator(photos())
    assert torch.equal(painted[0], plain[0])
    assert not torch.allclose(painted[1], plain[1], atol=1e-3)


def test_what_a_hole_holds_reaches_the_rest_through_statistics_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), instance_norm(8), nn.ReLU(), nn.Conv2d(8, 3, 1), instance_norm(3)
    )
    known, clean = boxed(1), photos(1)
    black = torch.where(known > 0, clean, torch.full_like(clean, -1.0))

    def moved() -> float:
        return float(((network(clean) - network(black)) * known).abs().max())

    with torch.no_grad():
        assert moved() > 0.1
        with known_statistics(network, known):
            assert moved() == 0


def test_a_black_hole_moves_far_pixels_less(generator: ResnetGenerator) -> None:
    clean = photos(1, 96)
    known = torch.ones(1, 1, 96, 96)
    known[..., :24, :24] = 0
    black = torch.where(known > 0, clean, torch.full_like(clean, -1.0))

    def moved() -> float:
        return float((generator(clean) - generator(black))[..., 80:, 80:].abs().max())

    by_plain_norms = moved()
    with known_statistics(generator, known):
        assert (
            moved() < by_plain_norms / 2
        )  # not 0: what the hole touches within a kernel is known and counts


def test_nests_and_leaves_no_trace(generator: ResnetGenerator) -> None:
    plain = generator(photos())
    outer, inner = boxed(), 1 - boxed()
    with known_statistics(generator, outer):
        first = generator(photos())
        with known_statistics(generator, inner):
            assert not torch.equal(generator(photos()), first)
        with pytest.raises(RuntimeError), known_statistics(generator, inner):
            generator(photos()[:, :2])  # no such channels
        assert torch.equal(generator(photos()), first)
    assert torch.equal(generator(photos()), plain)
    assert all("forward" not in module.__dict__ for module in generator.modules())


def test_gradients_flow_and_running_statistics_stay() -> None:
    norm = nn.InstanceNorm2d(2, track_running_stats=True).eval()
    x = torch.randn(1, 2, 8, 8)
    known = torch.ones(1, 1, 8, 8)
    known[..., :4] = 0
    plain = norm(x)
    with known_statistics(norm, known):
        assert torch.equal(norm(x), plain)
    x.requires_grad_()
    plain_norm = nn.InstanceNorm2d(2).double()
    with known_statistics(plain_norm, known):
        found = plain_norm(x.double())
        assert found.dtype == torch.float64
        (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert gradient.isfinite().all()
    assert gradient[..., :4].abs().sum() > 0


def test_a_batch_of_another_length_is_refused(generator: ResnetGenerator) -> None:
    with known_statistics(generator, boxed(3)), pytest.raises(ValueError, match="3 masks for a batch of 2"):
        generator(photos())
