"""Flow of known motions, warping, and where neither is to be trusted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from toonlab.representations.optical_flow import OpticalFlow, motion_boundaries, occluded, warp


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of some pixels, for patches to hold on to."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -2), (5, 4)])
def test_a_shift_is_found(right: int, down: int) -> None:
    large = texture(120, 160)
    before = large[10:106, 10:138]
    now = large[10 - down : 106 - down, 10 - right : 138 - right]  # what was at x is now at x + right
    motion = OpticalFlow().motion(before, now)
    middle = motion.back[20:-20, 20:-20]
    assert np.abs(middle - np.array([-right, -down])).max() < 0.5
    assert motion.reliable[20:-20, 20:-20].mean() > 0.99
    moved = warp(before, motion.back)[20:-20, 20:-20]
    assert np.abs(moved.astype(int) - now[20:-20, 20:-20]).mean() < 3


def test_warping_by_hand() -> None:
    picture = np.array([[0, 10, 20, 30]], np.float32)
    back = np.zeros((1, 4, 2), np.float32)
    back[..., 0] = [-1, 0.5, 0, 9]
    assert warp(picture, back).tolist() == [[0, 15, 20, 30]]


def test_occlusion_by_hand() -> None:
    ahead, back = np.zeros((4, 8, 2), np.float32), np.zeros((4, 8, 2), np.float32)
    ahead[..., 0], back[..., 0] = 2, -2
    found = occluded(back, ahead)
    assert found[:, :2].all()  # came from outside
    assert not found[:, 2:].any()
    back[1, 5, 0] = 0  # says it stood still; what stood there says it moved 2: 4 > 0.01 * 4 + 0.5
    assert occluded(back, ahead)[1, 5]


def test_motion_boundaries_are_where_the_flow_jumps() -> None:
    back = np.zeros((6, 10, 2), np.float32)
    back[:, 5:, 0] = 4
    found = motion_boundaries(back)
    assert found[:, 4:6].all()
    assert not found[:, :4].any()
    assert not found[:, 6:].any()


def test_what_is_uncovered_is_not_trusted() -> None:
    ground, card = texture(96, 128), texture(40, 40, seed=1)
    before, now = ground.copy(), ground.copy()
    before[28:68, 40:80], now[28:68, 52:92] = card, card
    reliable = OpticalFlow().motion(before, now).reliable
    assert reliable[32:64, 42:50].mean() < 0.5  # the ground that the card left
    assert reliable[5:20].mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 40, 3), (24, 9, 3)])
def test_small_pictures(shape: tuple[int, int, int]) -> None:
    motion = OpticalFlow().motion(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    assert motion.back.shape == (*shape[:2], 2)
    assert motion.reliable.shape == shape[:2]
