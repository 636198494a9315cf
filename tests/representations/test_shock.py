"""The coherence-enhancing shock filter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from toonlab.representations.shock import reach, shock_filter


def soft_step(width: int = 40) -> torch.Tensor:
    """A vertical edge from -0.8 to 0.8, soft over six pixels or so."""
    ramp = torch.tanh((torch.arange(width) - (width - 1) / 2) / 3) * 0.8
    return ramp.expand(1, 3, 24, width).clone()


def test_an_edge_becomes_sharper_and_stays_where_it_is() -> None:
    soft = soft_step()
    sharp = shock_filter(soft, 1.5, 8)
    assert sharp.diff(dim=-1).amax() > 2 * soft.diff(dim=-1).amax()
    torch.testing.assert_close(sharp, -sharp.flip(-1), atol=1e-5, rtol=0)  # its middle has not moved
    assert (sharp.diff(dim=-1) >= -1e-5).all()  # and it has no halo


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_it_has_no_preferred_direction(turns: int) -> None:
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(1, 3, 6, 8) * 2 - 1, size=(30, 40), mode="bicubic").clamp(-1, 1)
    turned = shock_filter(images.rot90(turns, (-2, -1)), 1.0, 4).rot90(-turns, (-2, -1))
    torch.testing.assert_close(turned, shock_filter(images, 1.0, 4), atol=1e-4, rtol=0)


def test_flat_surfaces_keep_their_grain() -> None:
    torch.manual_seed(0)
    grain = 0.3 + 0.01 * torch.randn(1, 3, 32, 32)
    assert (shock_filter(grain, 1.0, 4) - grain).abs().max() < 0.02
    constant = torch.full((1, 3, 9, 11), -0.4)
    torch.testing.assert_close(shock_filter(constant, 1.0, 4), constant)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 20), st.integers(0, 4), st.floats(0.5, 3))
def test_every_value_is_between_its_neighbours(
    seed: int, height: int, width: int, steps: int, scale: float
) -> None:
    torch.manual_seed(seed)
    images = torch.rand(1, 3, height, width) * 2 - 1
    sharp = shock_filter(images, scale, steps)
    size = 2 * steps + 1
    assert sharp.shape == images.shape
    assert (sharp <= F.max_pool2d(images, size, 1, steps) + 1e-6).all()
    assert (sharp >= -F.max_pool2d(-images, size, 1, steps) - 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.floats(0.5, 2.5))
def test_nothing_reaches_further_than_it_says(seed: int, steps: int, scale: float) -> None:
    torch.manual_seed(seed)
    margin = reach(scale, steps)
    images = torch.rand(1, 3, 4 + margin, 12) * 2 - 1
    changed = torch.cat([images[:, :, :-1], -images[:, :, -1:]], dim=2)
    one, other = (shock_filter(each, scale, steps) for each in (images, changed))
    assert torch.equal(one[:, :, :3], other[:, :, :3])
