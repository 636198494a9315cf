"""Guided filter, colour shift and superpixels against definitions written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import guided_blur
from torch import Tensor

from toonlab.representations.structure import Superpixels
from toonlab.representations.surface import Surface, guided_filter
from toonlab.representations.texture import ColourShift


def reference_guided_filter(guide: np.ndarray, image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """He et al.'s equations with a loop over pixels and windows cut at the border, in float64."""

    def mean(values: np.ndarray) -> np.ndarray:
        out = np.empty_like(values)
        for i, j in np.ndindex(values.shape):
            window = values[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
            out[i, j] = window.mean()
        return out

    covariance = mean(guide * image) - mean(guide) * mean(image)
    slope = covariance / (mean(guide * guide) - mean(guide) ** 2 + eps)
    offset = mean(image) - slope * mean(guide)
    return mean(slope) * guide + mean(offset)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 12), width=st.integers(1, 12), radius=st.integers(1, 5), seed=st.integers(0, 99))
def test_guided_filter_is_the_definition_at_any_size(height: int, width: int, radius: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    guide, image = rng.uniform(-1, 1, (2, 3, height, width))
    ours = guided_filter(torch.tensor(guide)[None], torch.tensor(image)[None], radius, 0.2)[0]
    theirs = np.stack([reference_guided_filter(g, i, radius, 0.2) for g, i in zip(guide, image, strict=True)])
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_guided_filter_is_kornias_inside_when_channels_are_apart() -> None:
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    flat = images.flatten(0, 1).unsqueeze(1)
    theirs = guided_blur(flat, flat, 11, 0.2).reshape_as(images)
    inside = (..., slice(10, -10), slice(10, -10))
    torch.testing.assert_close(Surface()(images)[inside], theirs[inside], atol=1e-5, rtol=0)


def test_guided_filter_limits() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(guided_filter(image, image, 2, 1e-9), image, atol=1e-4, rtol=0)
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(guided_filter(flat, flat, 2, 0.2), flat, atol=1e-6, rtol=0)


def test_guided_filter_leaves_autocast() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = guided_filter(image, image, 5, 0.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(guided_filter(image, image, 5, 0.2), exact)


def test_colour_shift_is_a_normalised_mix_within_bounds() -> None:
    shift = ColourShift()
    weights = shift(torch.eye(3)[:, :, None, None], torch.Generator().manual_seed(5)).flatten()
    draw = torch.rand(3, generator=torch.Generator().manual_seed(5))
    raw = torch.tensor([0.199, 0.487, 0.014]) + draw * 0.2
    torch.testing.assert_close(weights, raw / raw.sum())
    assert weights.sum().item() == pytest.approx(1)


def test_colour_shift_gives_equal_keys_equal_mixes() -> None:
    shift, images = ColourShift(), torch.rand(2, 3, 4, 4)
    same = [shift(images, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*same)
    assert same[0].shape == (2, 1, 4, 4)
    assert not torch.equal(same[0], shift(images, torch.Generator().manual_seed(2)))


def two_halves() -> Tensor:
    image = torch.full((1, 3, 24, 24), -1.0)
    image[:, 0, :, 12:] = 1.0
    return image


def test_superpixels_keep_flat_regions_and_never_paint_one_black() -> None:
    image = two_halves()
    torch.testing.assert_close(Superpixels(segments=8, sigma=0.0)(image), image, atol=0.01, rtol=0)
    grey = torch.full((1, 3, 24, 24), 0.5)  # label 0 must not be taken for background
    torch.testing.assert_close(Superpixels(segments=4)(grey), grey, atol=0.01, rtol=0)


def test_superpixels_fill_each_region_with_its_mean_and_carry_no_gradient() -> None:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    image.requires_grad_()
    flat = Superpixels(segments=16)(image)
    assert flat.shape == image.shape
    assert not flat.requires_grad
    colours = flat[0].permute(1, 2, 0).reshape(-1, 3).unique(dim=0)
    assert 4 <= len(colours) <= 32
    torch.testing.assert_close(flat.mean(dim=(2, 3)), image.detach().mean(dim=(2, 3)), atol=0.02, rtol=0)
