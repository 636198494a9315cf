"""Guided filter, colour shift and superpixels against definitions written out."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kornia.filters import guided_blur
from skimage import data, segmentation
from torch import Tensor

from toonlab import images as im
from toonlab.representations.colouring import colour_regions
from toonlab.representations.structure import SelectiveSearch, Structure, Superpixels
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


def photographs(size: int) -> Tensor:
    """Four crops of scikit-image's photographs, on the 8-bit grid."""
    sources = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    crops = np.stack([source[40 : 40 + size, 100 : 100 + size] for source in sources])
    return im.from_uint8(torch.from_numpy(crops).permute(0, 3, 1, 2))


def test_superpixels_are_slics() -> None:
    images = photographs(64)
    options = {"n_segments": 40, "compactness": 10.0, "sigma": 1.0, "start_label": 0}
    theirs = np.stack([segmentation.slic(im.to_array(image), **options) for image in images])
    assert np.array_equal(Superpixels(segments=40).labels(images).numpy(), theirs)


STRUCTURES = [
    Superpixels(segments=30),
    Superpixels(segments=30, colouring="adaptive"),
    SelectiveSearch(regions=12, min_size=20),
    SelectiveSearch(regions=12, min_size=20, colouring="median", power=1.2),
]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structure_paints_its_own_labels(structure: Structure) -> None:
    images = photographs(80)
    painted, labels = structure(images), structure.labels(images)
    assert labels.shape == (4, 80, 80)
    assert labels.dtype == torch.int64
    for image, flat, regions in zip(images, painted, labels, strict=True):
        count = len(regions.unique())
        assert regions.min() == 0
        assert regions.max() + 1 == count
        expected = colour_regions(
            im.to_array(image), regions.numpy(), structure.colouring, power=structure.power
        )
        torch.testing.assert_close(flat, torch.from_numpy(expected / 127.5 - 1).permute(2, 0, 1))
        if isinstance(structure, SelectiveSearch):
            assert count == 12


@pytest.mark.parametrize("kind", [Superpixels, SelectiveSearch])
def test_threads_change_nothing(kind: type[Structure]) -> None:
    images = photographs(96).repeat(3, 1, 1, 1)
    alone, together = kind(workers=1), kind(workers=4)
    assert torch.equal(alone.labels(images), together.labels(images))
    assert torch.equal(alone(images), together(images))
    assert torch.equal(alone(images[:1]), together(images)[:1])  # nor does the rest of the batch


@example(height=257, width=389, seed=0, kind="noise")
@example(height=1, width=1, seed=0, kind="noise")
@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 257),
    width=st.integers(1, 389),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["noise", "constant", "line"]),
)
def test_structure_takes_any_size(height: int, width: int, seed: int, kind: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    images = (torch.rand(1, 3, 1, 1, generator=rng) * 2 - 1).repeat(1, 1, height, width)
    if kind == "noise":
        images = torch.rand(1, 3, height, width, generator=rng) * 2 - 1
    elif kind == "line":
        images[..., height // 2, :] *= -1
    for structure in (Superpixels(colouring="adaptive"), SelectiveSearch(min_size=10)):
        flat = structure(images)
        assert flat.shape == images.shape
        assert flat.min() >= images.min() - 0.004  # half a grey level
        assert flat.max() <= images.max() + 0.004
        if kind == "constant":
            torch.testing.assert_close(flat, images, atol=0.004, rtol=0)


@pytest.mark.parametrize("kind", [Superpixels, SelectiveSearch])
def test_structure_names_what_it_cannot_take(kind: type[Structure]) -> None:
    for bad in (torch.nan, torch.inf):
        images = torch.zeros(2, 3, 8, 8)
        images[1, 2, 3, 4] = bad
        for call in (kind(), kind().labels):
            with pytest.raises(ValueError, match=f"{kind.__name__} .* NaN or infinite") as caught:
                call(images)
            assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        kind()(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="workers >= 1"):
        kind(workers=0)
    with pytest.raises(ValueError, match="'mix'"):
        kind(colouring="mix")


def test_structure_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="segments >= 1"):
        Superpixels(segments=0)
    with pytest.raises(ValueError, match="regions >= 1"):
        SelectiveSearch(regions=0)
