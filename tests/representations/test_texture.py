"""Both colour shifts against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab import keyed
from toonlab.representations.texture import ColourShift, LumaShift, Texture

BOTH = pytest.mark.parametrize("shift", [ColourShift(), LumaShift()], ids=["code", "paper"])
CHANNELS = torch.eye(3)[:, :, None, None]
"""Three images of one pixel, pure red, green and blue: what comes out are the weights."""


def test_the_codes_weights_are_normalised_and_within_bounds() -> None:
    weights = ColourShift()(CHANNELS, torch.Generator().manual_seed(5)).flatten()
    draw = torch.rand(3, generator=torch.Generator().manual_seed(5))
    raw = torch.tensor([0.199, 0.487, 0.014]) + draw * 0.2
    torch.testing.assert_close(weights, raw / raw.sum())
    assert weights.sum().item() == pytest.approx(1)


def test_the_papers_weights_are_a_tremor_around_luma() -> None:
    weights = LumaShift()(CHANNELS, torch.Generator().manual_seed(5)).flatten()
    beta = 2 * torch.rand(3, generator=torch.Generator().manual_seed(5)) - 1
    # 0.8 of luma's (0.299, 0.587, 0.114), and 0.2 of the draw
    torch.testing.assert_close(weights, torch.tensor([0.2392, 0.4696, 0.0912]) + 0.2 * beta)


def test_the_papers_equation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Draws 0.5, 0, 1 are betas 0, -1, 1; the pixel is (0.5, -1, 0.25):
    # Y = 0.1495 - 0.587 + 0.0285 = -0.409; 0.2 * (0 + 1 + 0.25) + 0.8 * -0.409 = 0.25 - 0.3272
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor([0.5, 0.0, 1.0]))
    pixel = torch.tensor([0.5, -1.0, 0.25])[None, :, None, None]
    assert LumaShift()(pixel, torch.Generator()).item() == pytest.approx(-0.0772, abs=1e-6)
    # The code's weights for these draws: (0.299, 0.487, 0.214), whose sum is 1.
    assert ColourShift()(pixel, torch.Generator()).item() == pytest.approx(0.1495 - 0.487 + 0.0535, abs=1e-6)


def test_all_luma_leaves_nothing_to_chance() -> None:
    weights = LumaShift(luma=1)(CHANNELS, torch.Generator().manual_seed(0)).flatten()
    torch.testing.assert_close(weights, torch.tensor([0.299, 0.587, 0.114]))
    with pytest.raises(ValueError, match="luma in"):
        LumaShift(luma=1.5)


@BOTH
def test_equal_keys_give_equal_mixes(shift: Texture) -> None:
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    same = [shift(images, keyed.generator(7, "texture", 3)) for _ in range(2)]
    assert torch.equal(*same)
    assert same[0].shape == (2, 1, 4, 4)
    assert not torch.equal(same[0], shift(images, keyed.generator(7, "texture", 4)))


@BOTH
def test_one_mix_for_the_whole_batch(shift: Texture) -> None:
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    first, second = shift(image.expand(2, 3, 4, 4), torch.Generator().manual_seed(1))
    assert torch.equal(first, second)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 257), width=st.integers(1, 389), seed=st.integers(0, 2**32))
def test_ranges_at_any_size(height: int, width: int, seed: int) -> None:
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)).round() * 2 - 1
    for shift, most in ((ColourShift(), 1), (LumaShift(), 1.4)):
        mixed = shift(images, torch.Generator().manual_seed(seed))
        assert mixed.shape == (1, 1, height, width)
        assert mixed.abs().max() <= most + 1e-6


@BOTH
def test_nan_stays_in_its_pixel(shift: Texture) -> None:
    images = torch.zeros(1, 3, 5, 5)
    images[0, 1, 2, 3] = torch.nan
    assert shift(images, torch.Generator().manual_seed(0)).isnan().nonzero().tolist() == [[0, 0, 2, 3]]


@BOTH
def test_gradients(shift: Texture) -> None:
    images = torch.rand(1, 3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda x: shift(x, torch.Generator().manual_seed(1)), images.requires_grad_()
    )
