from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toonlab import images as im
from toonlab import keyed
from toonlab.data.transforms import centre_crop, random_cut


def random_crop(picture, generator, *, size, zoom, flip):
    return random_cut(picture, generator, size=size, zoom=zoom, flip=flip).of(picture, size)


def ramp(width: int, height: int) -> Image.Image:
    """Red tells the column and green the row, both 0..255 across the picture."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)
    array = np.stack([np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))], -1)
    return Image.fromarray(np.dstack([array, np.zeros((height, width))]).round().astype(np.uint8))


@settings(deadline=None)
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    size=st.sampled_from([1, 15, 32]),
    top_zoom=st.floats(1, 4),
    key=st.integers(0, 10**6),
)
def test_any_shape_gives_a_square_in_range(
    width: int, height: int, size: int, top_zoom: float, key: int
) -> None:
    crop = random_crop(ramp(width, height), keyed.generator(key), size=size, zoom=(1.0, top_zoom), flip=0.5)
    assert crop.shape == (3, size, size)
    assert crop.dtype == torch.float32
    assert crop.abs().max() <= 1
    again = random_crop(ramp(width, height), keyed.generator(key), size=size, zoom=(1.0, top_zoom), flip=0.5)
    assert torch.equal(crop, again)


@settings(deadline=None)
@given(
    width=st.integers(100, 300), height=st.integers(100, 300), zoom=st.floats(1, 3), key=st.integers(0, 99)
)
def test_crop_side_is_the_short_side_over_the_zoom(width: int, height: int, zoom: float, key: int) -> None:
    crop = random_crop(ramp(width, height), keyed.generator(key), size=32, zoom=(zoom, zoom), flip=0)
    values = im.to_uint8(crop).float()
    # Red grows by 255 / width for each source pixel: its span over 31 of the 32 columns tells the side.
    side = (values[0, :, -1] - values[0, :, 0]).mean() / 255 * width * 32 / 31
    expected = min(width, height) / zoom
    assert abs(side - expected) < 0.06 * expected + 2


def test_flip_mirrors_the_same_crop() -> None:
    picture = ramp(90, 70)
    straight, mirrored = (
        random_crop(picture, keyed.generator(5), size=32, zoom=(1.5, 1.5), flip=flip) for flip in (0.0, 1.0)
    )
    assert torch.equal(straight.flip(-1), mirrored)
    assert straight[0, 0, 0] < straight[0, 0, -1]


def test_zoom_never_enlarges_pixels() -> None:
    """A 40-pixel picture at zoom 4 would be a 10-pixel crop, blown up; it becomes a 32-pixel one, copied."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    crop = random_crop(picture, keyed.generator(1), size=32, zoom=(4.0, 4.0), flip=0)
    assert torch.equal(crop, im.to_tensor(picture))


def test_position_covers_both_ends() -> None:
    picture = ramp(1000, 100)
    lefts = [
        im.to_uint8(random_crop(picture, keyed.generator(k), size=20, zoom=(1.0, 1.0), flip=0))[
            0, 0, 0
        ].item()
        for k in range(200)
    ]
    assert min(lefts) < 15
    assert max(lefts) > 255 * 0.9 - 15
    assert abs(np.mean(lefts) - 255 * 0.45) < 20  # uniform: standard error 255 * 0.26 / sqrt(200) = 5


def test_downscaling_averages() -> None:
    """A one-pixel checkerboard scaled down is grey; sampled without antialiasing it would not be."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    crop = centre_crop(Image.fromarray(board).convert("RGB"), size=32)
    assert crop.abs().max() < 0.02


def test_centre_crop_is_central() -> None:
    crop = im.to_uint8(centre_crop(ramp(300, 100), size=50)).float()
    assert abs(crop[0].mean() - 127.5) < 1
    assert abs(crop[0, 0, 0] - 255 / 3) < 3
    assert crop[1, 0, 0] < 5
    assert crop[1, -1, 0] > 250
    picture = ramp(24, 24)
    assert torch.equal(centre_crop(picture, size=24), im.to_tensor(picture))


@settings(deadline=None)
@given(
    width=st.integers(60, 300),
    height=st.integers(60, 300),
    factor=st.floats(0.4, 1.0),
    key=st.integers(0, 99),
)
def test_the_same_cut_of_a_smaller_copy_shows_the_same_part(
    width: int, height: int, factor: float, key: int
) -> None:
    picture = ramp(width, height)
    copy = picture.resize((round(width * factor), round(height * factor)), Image.Resampling.BOX)
    cut = random_cut(picture, keyed.generator(key), size=16, zoom=(1.0, 2.0), flip=0.5)
    assert (cut.of(picture, 16) - cut.of(copy, 16)).abs().max() < 0.06
