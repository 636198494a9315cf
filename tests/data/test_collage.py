"""Collages are found with their geometry, and nothing else is."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import cartoon, collage, grid, scene
from toonlab.data.collage import Box, Limits, find

LIMITS = Limits(seam=0.2, alignment=0.42, same=2.0, aspect=2.0, min_side=96)


def compressed(picture: np.ndarray, quality: int = 75) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


@given(
    seed=st.integers(0, 500),
    side=st.integers(110, 260),
    gap=st.integers(0, 20),
    framed=st.booleans(),
    strip=st.sampled_from([0, 24]),
    colour=st.sampled_from([0, 255]),
)
@settings(max_examples=25, deadline=None)
def test_segments_are_found_where_they_are(seed, side, gap, framed, strip, colour) -> None:
    frame = gap if framed else 0
    page = collage(seed, side, gap=gap, frame=frame, strip=strip if not frame else 0, colour=colour)
    found = find(compressed(page), LIMITS)
    assert found.reason == ""
    true = [
        Box(x, y, x + side, y + side)
        for y in (frame, frame + side + gap)
        for x in (frame, frame + side + gap)
    ]
    assert np.abs(np.array(found.boxes) - np.array(true)).max() <= 3
    first, *others = found.boxes
    for box in others:  # all cuts are of one size
        assert (box.right - box.left, box.bottom - box.top) == (
            first.right - first.left,
            first.bottom - first.top,
        )


def test_a_step_out_of_line_and_a_long_segment_pass() -> None:
    photo = scene(3, 150, 180)
    pieces = [photo, *(np.roll(cartoon(photo, style), style, axis=1) for style in range(3))]
    assert find(compressed(grid(pieces)), LIMITS).reason == ""


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (grid([scene(seed, 150, 150) for seed in range(4)]), "the segments show different things"),
        (collage(1)[:150], "too small"),
        (scene(8, 400, 400), "no vertical seam"),
        (np.vstack([scene(8, 150, 300), scene(9, 150, 300)]), "no vertical seam"),
        (np.hstack([scene(8, 300, 150), scene(9, 300, 150)]), "no horizontal seam"),
        (grid([scene(1, 150, 150)] * 4), "two segments are the same picture"),
        (collage(1, 90), "too small: 180x180"),
        (np.full((300, 300, 3), 255, np.uint8), "no vertical seam"),
    ],
)
def test_what_is_no_collage_is_told_why(picture: np.ndarray, reason: str) -> None:
    assert find(compressed(picture, 90), LIMITS).reason.startswith(reason)


def test_one_strange_segment_of_four_is_enough() -> None:
    photo = scene(5, 150, 150)
    pieces = [photo, cartoon(photo, 0), cartoon(photo, 1), cartoon(scene(6, 150, 150), 2)]
    assert find(grid(pieces), LIMITS).reason == "the segments show different things"
    pieces[3] = cartoon(photo, 2)
    assert find(grid(pieces), LIMITS).reason == ""


def test_three_by_three_is_none() -> None:
    photo = scene(5, 120, 120)
    page = np.vstack([np.hstack([cartoon(photo, (i + j) % 3) for j in range(3)]) for i in range(3)])
    assert find(page, LIMITS).reason


def test_segments_too_long_are_refused() -> None:
    photo = scene(5, 100, 240)
    page = grid([photo, *(cartoon(photo, style) for style in range(3))])
    assert "too long" in find(page, LIMITS).reason
