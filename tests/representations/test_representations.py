"""Superpixels against definitions written out."""

import torch
from torch import Tensor

from toonlab.representations.structure import Superpixels


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
