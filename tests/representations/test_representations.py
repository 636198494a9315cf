"""Superpixels against definitions written out."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage import data, segmentation
from torch import Tensor

from toonlab import images as im
from toonlab.representations.colouring import colour_regions
from toonlab.representations.structure import SelectiveSearch, Structure, Superpixels


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
