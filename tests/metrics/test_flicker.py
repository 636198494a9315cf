"""The warp error, where it is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from toonlab.metrics.flicker import SOURCE, Flicker


def ground(width: int = 200) -> np.ndarray:
    noise = np.random.default_rng(0).integers(60, 190, (26, width // 4, 3), np.uint8)
    return cv2.resize(noise, (width, 104), interpolation=cv2.INTER_CUBIC)


def test_a_still_film_errs_by_what_changes() -> None:
    photo, flicker = ground(), Flicker()
    for number in range(4):
        level = 10 * (number % 2)
        flicker.add(photo, {"same": photo, "flickers": photo + np.uint8(level)})
    found = flicker.compute()
    assert found[SOURCE].warp_error == found["same"].warp_error == 0
    assert found["flickers"].warp_error == pytest.approx(10 / 255)
    assert found["flickers"].warp_error_squared == pytest.approx((10 / 255) ** 2)
    assert (flicker.frames, flicker.compared) == (4, 3)
    assert flicker.visible > 0.99


def test_motion_is_no_flicker() -> None:
    whole, flicker = ground(260), Flicker()
    still = whole[:, :200]
    for number in range(4):
        frame = whole[:, 3 * number : 3 * number + 200].copy()
        flicker.add(frame, {"moves along": 255 - frame, "stays": still})
    found = flicker.compute()
    assert found["moves along"].warp_error < 0.01  # of interpolation
    assert found["stays"].warp_error > 5 * found["moves along"].warp_error
    assert found["moves along"].laplacian == pytest.approx(found[SOURCE].laplacian, rel=0.02)


def test_blur_is_told_from_steadiness() -> None:
    photo, flicker = ground(), Flicker()
    for _ in range(2):
        flicker.add(photo, {"blurred": cv2.GaussianBlur(photo, (0, 0), 2)})
    found = flicker.compute()
    assert found["blurred"].laplacian < 0.5 * found[SOURCE].laplacian
    assert found["blurred"].gradient < found[SOURCE].gradient


def test_refusals() -> None:
    flicker = Flicker()
    flicker.add(ground(), {})
    with pytest.raises(ValueError, match="two at least"):
        flicker.compute()
    with pytest.raises(ValueError, match="different sizes"):
        flicker.add(ground(), {"painted": ground(100)})
