"""Felzenszwalb's regions against scikit-image's, which are their definition, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import color, data, segmentation
from sklearn.datasets import load_sample_images

from toonlab.representations import felzenszwalb as module
from toonlab.representations.felzenszwalb import felzenszwalb

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "photos" / "val"
PACKAGED = [
    *("astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass"),
    *("gravel", "horse", "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon"),
    *("page", "retina", "rocket", "text"),
]
WHITE_BOX = {"scale": 5.0, "sigma": 0.8, "min_size": 100}
SETTINGS = (
    WHITE_BOX,
    {"scale": 100.0, "sigma": 0.5, "min_size": 20},
    {"scale": 1, "sigma": 0, "min_size": 0},
)


def rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    return color.gray2rgb(image) if image.ndim == 2 else image[..., :3]


def crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[max(top, 0) :, max(left, 0) :][:height, :width]


def assert_skimages(picture: np.ndarray, **options: float) -> None:
    ours, theirs = felzenszwalb(picture, **options), segmentation.felzenszwalb(picture, **options)
    # Either numbers regions in reading order, so that equal up to renaming is equal.
    assert np.array_equal(ours, theirs), f"{(ours != theirs).mean():.2%} of the pixels differ"
    assert ours.dtype == np.int32


@pytest.mark.parametrize("name", [*PACKAGED, "china", "flower"])
def test_labels_are_scikit_images_on_real_images(name: str) -> None:
    samples = ("china", "flower")
    image = load_sample_images().images[samples.index(name)] if name in samples else getattr(data, name)()
    picture = rgb(image)
    for options in SETTINGS:
        assert_skimages(crop(picture, 128, 128), **options)
    assert_skimages(crop(picture, 97, 151), **WHITE_BOX)
    assert_skimages(crop(picture, 256, 256), **WHITE_BOX)


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}")
def test_labels_are_scikit_images_on_photographs() -> None:
    paths = sorted(PHOTOS.glob("*.jpg"))[:24]
    assert len(paths) >= 20
    for path in paths:
        with Image.open(path) as opened:
            picture = np.asarray(opened.convert("RGB").resize((256, 256)))
        assert_skimages(picture, **WHITE_BOX)


def picture_of(kind: str, height: int, width: int, seed: int) -> np.ndarray:
    """Noise, one colour, a line of one pixel, or blocks, whose edges cost the same by the thousand."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "constant":
        noise[:] = noise[0, 0]
    elif kind == "line":
        noise[:] = noise[0, 0]
        noise[height // 2] = 255 - noise[0, 0]
    elif kind == "blocks":
        noise = np.kron(noise, np.ones((4, 5, 1), np.uint8))[:height, :width]
    return noise


KINDS = st.sampled_from(["noise", "constant", "line", "blocks"])


@example("noise", 257, 389, 0, WHITE_BOX)
@example("blocks", 257, 389, 0, SETTINGS[2])
@example("noise", 1, 1, 0, WHITE_BOX)
@settings(max_examples=40, deadline=None)
@given(KINDS, st.integers(1, 257), st.integers(1, 389), st.integers(0, 99), st.sampled_from(SETTINGS))
def test_any_size_and_kind_of_picture(kind: str, height: int, width: int, seed: int, options: dict) -> None:
    picture = picture_of(kind, height, width, seed)
    assert_skimages(picture, **options)
    labels = felzenszwalb(picture, **options)
    first = np.unique(labels, return_index=True)[1]
    assert (np.diff(first) > 0).all()  # in reading order
    sizes = np.bincount(labels.ravel())
    assert sizes.min() >= min(options["min_size"], height * width)
    if kind == "constant":
        assert len(sizes) == 1


def test_two_flat_halves_are_two_regions() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, 10:] = 200
    expected = np.repeat([[0] * 10 + [1] * 10], 20, axis=0)
    assert np.array_equal(felzenszwalb(picture, scale=1, sigma=0, min_size=5), expected)


def test_floats_are_the_same_picture() -> None:
    picture = crop(data.astronaut(), 64, 64)
    assert np.array_equal(felzenszwalb(picture), felzenszwalb(picture / 255))


def test_without_the_compiler_labels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = crop(data.coffee(), 64, 80)
    compiled = felzenszwalb(picture, min_size=10)
    monkeypatch.setattr(module, "AVAILABLE", False)
    plain = felzenszwalb(picture, min_size=10)
    assert np.array_equal(plain, compiled)
    assert plain.dtype == compiled.dtype


def test_mistakes_are_named() -> None:
    picture = np.full((4, 4, 3), 0.5)
    picture[1, 1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        felzenszwalb(picture)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        felzenszwalb(np.full((4, 4, 3), 1.5))
    with pytest.raises(ValueError, match="int64"):
        felzenszwalb(np.zeros((4, 4, 3), int))
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        felzenszwalb(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="min_size >= 0"):
        felzenszwalb(np.zeros((4, 4, 3), np.uint8), min_size=-1)
