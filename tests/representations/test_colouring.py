"""Region colours worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toonlab.representations import colouring
from toonlab.representations.colouring import colour_regions


def row(*values: int) -> np.ndarray:
    """A grey picture of one row."""
    return np.repeat(np.array(values, np.uint8)[None, :, None], 3, axis=2)


def paint(picture: np.ndarray, kind: str, **options: float) -> np.ndarray:
    """One region of all pixels; its colour."""
    painted = colour_regions(picture, np.zeros(picture.shape[:2], int), kind, **options)
    assert (painted == painted[0, 0]).all()
    return painted[0, 0]


def test_mean_and_median_by_hand() -> None:
    assert paint(row(10, 20, 60), "mean") == pytest.approx([30] * 3)
    assert paint(row(10, 20, 60), "median") == pytest.approx([20] * 3)
    assert paint(row(10, 20, 60, 200), "median") == pytest.approx([40] * 3)  # the middle two's mean


# Three pixels at 100, one at 100 + d: mean 100 + d/4, median 100, deviation d·√3/4.
@pytest.mark.parametrize(
    ("d", "expected"),
    [
        (44, 111.0),  # deviation 19.05: the mean
        (48, 106.0),  # 20.78: half and half of 112 and 100
        (92, 111.5),  # 39.84: half and half of 123 and 100
        (96, 100.0),  # 41.57: the median
    ],
)
def test_adaptive_chooses_by_the_deviation_on_0_to_255(d: int, expected: float) -> None:
    assert paint(row(100, 100, 100, 100 + d), "adaptive") == pytest.approx([expected] * 3)


# Four pixels at 60, one at 60 + d: mean 60 + d/5, median 60, deviation 2d/5.
@pytest.mark.parametrize(
    ("values", "deviation", "expected"),
    [
        ((60, 60, 60, 60, 110), 20, 65.0),  # mean 70, median 60
        ((60, 60, 60, 60, 160), 40, 70.0),  # mean 80, median 60
    ],
)
def test_exactly_20_and_exactly_40_are_half_and_half(
    values: tuple[int, ...], deviation: int, expected: float
) -> None:
    assert np.std(values) == deviation
    assert paint(row(*values), "adaptive") == pytest.approx([expected] * 3)


def test_bounds_are_arguments() -> None:
    picture = row(60, 60, 60, 60, 110)  # deviation 20
    assert paint(picture, "adaptive", low=20.1) == pytest.approx([70] * 3)
    assert paint(picture, "adaptive", low=5, high=19.9) == pytest.approx([60] * 3)


def test_flat_saturated_colour_is_calm() -> None:
    """Pooled over channels, as in the authors' code, this region would deviate by 119 and take the median."""
    picture = np.zeros((1, 4, 3), np.uint8)
    picture[..., 0] = [250, 250, 250, 254]
    assert paint(picture, "adaptive") == pytest.approx([251, 0, 0])


def test_deviation_is_the_mean_of_the_channels() -> None:
    picture = row(60, 60, 60, 60, 110)
    picture[..., 1:] = 60  # deviations 20, 0, 0: 6.7 in the mean
    assert paint(picture, "adaptive") == pytest.approx([70, 60, 60])


def test_power_darkens_in_unit_range() -> None:
    grey = row(128, 128)
    assert paint(grey, "mean", power=1.2) == pytest.approx([255 * (128 / 255) ** 1.2] * 3, rel=1e-6)
    assert paint(row(0, 0), "mean", power=1.2) == pytest.approx([0] * 3)
    assert paint(row(255, 255), "median", power=1.2) == pytest.approx([255] * 3)


def reference(picture: np.ndarray, labels: np.ndarray, kind: str) -> np.ndarray:
    out = np.empty(picture.shape)
    for label in np.unique(labels):
        inside = picture[labels == label].astype(np.float64)
        mean, median, spread = inside.mean(0), np.median(inside, 0), inside.std(0).mean()
        mixed = mean if spread < 20 else median if spread > 40 else (mean + median) / 2
        out[labels == label] = {"mean": mean, "median": median, "adaptive": mixed}[kind]
    return out


SIZES = {"height": st.integers(1, 257), "width": st.integers(1, 389)}


@settings(max_examples=25, deadline=None)
@given(**SIZES, regions=st.integers(1, 40), seed=st.integers(0, 99), kind=st.sampled_from(colouring.KINDS))
def test_is_the_definition_at_any_size(height: int, width: int, regions: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    labels = 3 * rng.integers(0, regions, (height, width))  # with numbers left out
    spread = rng.uniform(1, 120, regions)[labels // 3, None]
    picture = rng.normal(128, spread, (height, width, 3)).clip(0, 255).astype(np.uint8)
    painted = colour_regions(picture, labels, kind)
    assert painted.dtype == np.float32
    np.testing.assert_allclose(painted, reference(picture, labels, kind), atol=1e-4)


def test_without_the_compiler_colours_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    picture, labels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8), rng.integers(0, 9, (40, 50))
    compiled = [colour_regions(picture, labels, kind) for kind in colouring.KINDS]
    for name in ("_colours", "_ranked"):
        function = getattr(colouring, name)
        monkeypatch.setattr(colouring, name, getattr(function, "py_func", function))
    plain = [colour_regions(picture, labels, kind) for kind in colouring.KINDS]
    assert np.array_equal(plain, compiled)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"kind": "mix"}, "'mix'"), ({"low": 50}, "low <= high"), ({"power": 0}, "power > 0")],
)
def test_settings_out_of_range_are_refused(options: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        colour_regions(row(1, 2), np.zeros((1, 2), int), **options)


def test_pictures_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="float32"):
        colour_regions(np.zeros((2, 2, 3), np.float32), np.zeros((2, 2), int))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        colour_regions(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), int))
    with pytest.raises(ValueError, match=">= 0"):
        colour_regions(np.zeros((2, 2, 3), np.uint8), np.full((2, 2), -1))
