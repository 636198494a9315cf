from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from marked import domain, planted, scene
from toonlab.data.anchors import SIDE, Anchor, Place, Shot, anchors
from toonlab.data.coherence import coherence, grouped
from toonlab.data.ignore import Ignore
from toonlab.data.remedy import remedy
from toonlab.data.shortcut import find_marks, groups

N = 60


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [scene(i) for i in range(N)]


@pytest.fixture(scope="module")
def cartoons() -> list[np.ndarray]:
    return [scene(i, flat=True) for i in range(N)]


def overlap(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    common = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return common / (sum(areas) - common)


def test_two_styles_without_a_mark_are_not_accused(photos, cartoons) -> None:
    assert find_marks([domain("photos", photos), domain("cartoons", cartoons)]) == []


@pytest.mark.parametrize(("share", "opacity"), [(1.0, 1.0), (0.5, 0.5)])
def test_a_planted_emoji_is_found_measured_and_taken_away(photos, cartoons, share, opacity) -> None:
    marked = [
        planted(each, i, opacity=opacity) if i % 10 < 10 * share else each for i, each in enumerate(cartoons)
    ]
    (mark,) = find_marks([domain("photos", photos), domain("cartoons", marked)])
    assert mark.domain == "cartoons"
    assert mark.is_shortcut
    truth = (3 / 160, 101 / 120, 19 / 160, 117 / 120)  # 14 pixels, 4 from the corner, 1 to either side
    assert overlap(mark.box, truth) > 0.5
    assert 0.6 * share < mark.share <= share + 0.02
    assert mark.other < 0.1
    assert mark.auc > 0.5 + 0.4 * share
    ignore = remedy([mark.box])
    assert ignore is not None
    for treated in (ignore, Ignore(mask=(mark.box._replace(left=0, bottom=1, right=0.14, top=0.82),))):
        clean = [
            domain(name, [np.asarray(treated(_picture(each))) for each in pictures])
            for name, pictures in (("photos", photos), ("cartoons", marked))
        ]
        assert find_marks(clean) == []


def test_a_mark_of_both_domains_is_a_watermark_and_no_shortcut(photos, cartoons) -> None:
    both = [
        domain(name, [planted(each, i) for i, each in enumerate(pictures)])
        for name, pictures in (("photos", photos), ("cartoons", cartoons))
    ]
    marks = find_marks(both)
    assert {mark.domain for mark in marks} == {"photos", "cartoons"}
    assert not any(mark.is_shortcut for mark in marks)


def test_one_shot_counts_once(photos) -> None:
    # 40 frames of one still scene and 8 others: all that agrees is one picture with itself.
    rng = np.random.default_rng(0)
    still = [
        (photos[0] + rng.integers(0, 4, photos[0].shape)).clip(0, 255).astype(np.uint8) for _ in range(40)
    ]
    film = domain("film", still + photos[1:20])
    assert len(set(film.groups.tolist())) == 20
    assert find_marks([film]) == []


def test_pictures_of_many_sizes_have_the_frames_that_a_mark_may_be_fixed_to() -> None:
    assert anchors([(160, 120)] * 9) == [Anchor("picture")]
    assert {each.unit for each in anchors([(160, 120), (320, 240)] * 5)} == {"picture", "pixel"}
    mixed = [(160, 120), (120, 160), (160, 160)] * 5
    assert {each.unit for each in anchors(mixed)} == {"picture", "width", "short", "pixel"}


@pytest.mark.parametrize("unit", ["picture", "width", "short", "pixel"])
@pytest.mark.parametrize("size", [(200, 150), (150, 200), (90, 300)])
def test_a_place_of_the_frame_is_where_the_picture_shows_it(unit, size) -> None:
    # A white square in the lower left corner of a black picture, seen in the frame and mapped back.
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[-30:, :24] = 255
    anchor = Anchor(unit, 0, 0 if unit == "picture" else 1, window=160.0)
    view = anchor.view(Shot(pixels, width, height))
    rows, columns = np.nonzero(view.pixels[..., 0] > 127)
    place = Place(rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1)
    box = anchor.box(place, width, height)
    assert box == pytest.approx((0, 1 - 30 / height, 24 / width, 1), abs=0.03)
    near = Place(max(0, place.top - 4), 0, min(place.height + 4, SIDE), place.width + 4)
    large = anchor.enlarged(Shot(pixels, width, height), near, 3)
    assert large.shape == (near.height * 3, near.width * 3, 3)
    assert abs((large[-1, :, 0] > 127).sum() / 3 - place.width) <= 1.5


def test_coherence_is_one_in_the_mean_without_a_mark_and_the_number_of_groups_with_one() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((50, 2, 40, 40)).astype(np.float32)
    clean = coherence(noise, alpha=0.01, rng=rng)
    assert clean.excess.max() < 1
    assert clean.energy[10:30, 10:30].mean() == pytest.approx(1 / 1.025, abs=0.1)  # 0.05 for 2 planes
    noise[:, :, 15:25, 15:25] = 1
    marked = coherence(noise, alpha=0.01, rng=rng)
    assert marked.energy[20, 20] == pytest.approx(50 / 1.025, rel=0.01)
    assert marked.excess.max() > 5
    assert marked.excess[:5].max() < 1


def test_random_signs_bound_the_family_wise_error() -> None:
    # 1 % allowed; 40 trials of nothing at all, none may be accused more than twice.
    rng = np.random.default_rng(3)
    accused = 0
    for _ in range(40):
        noise = rng.standard_normal((30, 1, 24, 24)).astype(np.float32)
        accused += bool(coherence(noise, alpha=0.01, rng=rng).excess.max() > 1)
    assert accused <= 2


def test_groups_are_means_in_the_order_of_their_numbers() -> None:
    stack = np.array([[1.0], [3.0], [10.0]])
    assert grouped(stack, [0, 0, 1]).tolist() == [[2.0], [10.0]]
    assert len(set(groups([Shot(scene(i), 160, 120) for i in (0, 1, 0)]).tolist())) == 2


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels)
