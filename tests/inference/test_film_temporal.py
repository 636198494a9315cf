"""`temporal=flow`: flicker goes, and neither sharpness nor what moves goes with it."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from toonlab.errors import UsageError
from toonlab.inference.film.temporal import Stabiliser, stabiliser


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(40, 216, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def flickering(frame: np.ndarray, number: int, levels: float = 6) -> np.ndarray:
    """A painting whose patches change their tone from frame to frame."""
    noise = np.random.default_rng(number).normal(0, levels, (6, 8, 1)).astype(np.float32)
    tone = cv2.resize(noise, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    return (frame + tone).clip(0, 255).astype(np.uint8)


def panning(frames: int, speed: int = 2) -> list[np.ndarray]:
    ground = texture(96, 128 + speed * frames)
    return [ground[:, speed * i : speed * i + 128].copy() for i in range(frames)]


def sharpness(frames: list[np.ndarray]) -> float:
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    return float(np.mean([cv2.Laplacian(luma, cv2.CV_32F).var() for luma in lumas]))


def test_flicker_of_a_moving_film_falls_and_it_stays_sharp() -> None:
    photos = panning(14)
    painted = [flickering(photo, number) for number, photo in enumerate(photos)]
    steady = Stabiliser()
    steadied = [steady.steady(photo, each) for photo, each in zip(photos, painted, strict=True)]

    def flicker(film: list[np.ndarray]) -> float:  # the motion is known: 2 pixels to the left
        gaps = [
            np.abs(now[20:-20, 20:-22].astype(float) - before[20:-20, 22:-20]).mean()
            for before, now in itertools.pairwise(film[4:])
        ]
        return float(np.mean(gaps))

    assert flicker(steadied) < 0.5 * flicker(painted)
    assert 0.93 < sharpness(steadied[5:]) / sharpness(painted[5:]) < 1.07


def test_nothing_is_left_behind_of_what_moves() -> None:
    ground = texture(96, 128)
    photos = []
    for number in range(8):
        frame = ground.copy()
        frame[30:60, 8 + 9 * number : 38 + 9 * number] = (255, 20, 20)
        photos.append(frame)
    steady = Stabiliser()
    for photo in photos:
        steadied = steady.steady(photo, photo)
    assert np.abs(steadied.astype(int) - photos[-1]).mean() < 2
    red = [frame[30:60, :60, 0].astype(int) - frame[30:60, :60, 1] for frame in (steadied, photos[-1])]
    assert (red[0] - red[1]).mean() < 3  # where the card was


def test_a_cut_begins_anew() -> None:
    first, second = texture(96, 128, 1), texture(96, 128, 2)
    steady = Stabiliser()
    steady.steady(first, first)
    assert np.abs(steady.steady(second, second).astype(int) - second).mean() < 1


def test_a_frame_once_more_is_painted_once_more() -> None:
    photo = texture(48, 64)
    steady = Stabiliser()
    once = steady.steady(photo, flickering(photo, 1))
    assert np.array_equal(steady.steady(photo, flickering(photo, 2)), once)


def test_a_state_goes_on_exactly() -> None:
    photos = panning(6)
    painted = [flickering(photo, number) for number, photo in enumerate(photos)]
    whole, first, second = Stabiliser(), Stabiliser(), Stabiliser()
    expected = [whole.steady(photo, each) for photo, each in zip(photos, painted, strict=True)]
    for photo, each in zip(photos[:3], painted[:3], strict=True):
        first.steady(photo, each)
    second.restore(first.state())
    gone_on = [second.steady(photo, each) for photo, each in zip(photos[3:], painted[3:], strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(gone_on, expected[3:], strict=True))


def test_words() -> None:
    assert stabiliser("none") is None
    with pytest.raises(UsageError, match="temporal=flaw: use one of none, flow"):
        stabiliser("flaw")
