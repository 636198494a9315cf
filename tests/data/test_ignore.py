from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toonlab.data.ignore import Box, Ignore, read
from toonlab.data.modules import UnpairedData
from toonlab.data.paired import PairedData
from toonlab.data.remedy import MOST, remedy
from toonlab.errors import UsageError

COMMON = {
    "size": 32,
    "batch_size": 4,
    "eval_batch_size": 4,
    "workers": 0,
    "seed": 0,
    "zoom": (1.0, 1.5),
    "flip": 0.5,
    "val_fraction": 0.25,
    "test_fraction": 0.25,
}


def ramp(width: int = 100, height: int = 50) -> Image.Image:
    across = np.linspace(0, 200, width)[None, :] + np.linspace(0, 50, height)[:, None]
    return Image.fromarray(np.repeat(across[..., None], 3, 2).round().astype(np.uint8))


def test_a_crop_keeps_the_pixels_of_its_box() -> None:
    kept = Ignore(crop=Box(0.1, 0.2, 1.0, 0.8))(ramp())
    assert kept.size == (90, 30)
    assert np.array_equal(np.asarray(kept), np.asarray(ramp())[10:40, 10:])


def test_a_mask_shows_nothing_of_what_it_covers_and_continues_its_surroundings() -> None:
    ignore = Ignore(mask=(Box(0.3, 0.2, 0.5, 0.6),))
    picture = np.array(ramp())
    hidden = picture.copy()
    hidden[10:30, 30:50] = (255, 0, 0)
    filled = np.asarray(ignore(Image.fromarray(hidden)))
    assert np.array_equal(filled, np.asarray(ignore(Image.fromarray(picture))))  # no trace of the red
    outside = np.ones((50, 100), bool)
    outside[10:30, 30:50] = False
    assert np.array_equal(filled[outside], hidden[outside])
    assert np.abs(filled.astype(int) - picture).max() <= 20  # a ramp goes on, where a mean colour is 30 off


def test_a_corner_is_filled_from_the_two_sides_it_has() -> None:
    picture = np.full((40, 40, 3), 90, np.uint8)
    picture[30:, :10] = 255
    filled = np.asarray(Ignore(mask=(Box(0, 0.75, 0.25, 1),))(Image.fromarray(picture)))
    assert (filled == 90).all()


shares = st.floats(0, 1, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.tuples(shares, shares, shares, shares), st.integers(1, 40), st.integers(1, 40))
def test_any_box_works_on_any_picture(values, width, height) -> None:
    left, right = sorted(values[::2])
    top, bottom = sorted(values[1::2])
    if right - left < 1e-3 or bottom - top < 1e-3:
        return
    picture = Image.new("RGB", (width, height), (10, 20, 30))
    box = Box(left, top, right, bottom)
    assert np.array_equal(np.asarray(Ignore(mask=(box,))(picture)), np.asarray(picture))
    assert min(Ignore(crop=box)(picture).size) >= 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("missing.yaml", "No such file"),
        ([[0, 0.85, 0.15]], "is no box"),
        ([[0, 85, 15, 100]], "shares, not pixels"),
        ([[0.5, 0, 0.5, 1]], "left < right"),
        ([0, 0.85, 0.15, 1], "is no box"),
        ({"cropp": [0, 0, 1, 1]}, "did you mean 'crop'"),
        ({"mask": 3}, "no list of boxes"),
        ([[0, 0, 1, 1]], "leaves nothing"),
        (3, "neither"),
    ],
)
def test_what_is_no_box_is_one_line(value, says) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read(value)
    assert "data.ignore" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_its_content_and_a_list_mean_the_same(tmp_path: Path) -> None:
    file = tmp_path / "ignore.yaml"
    file.write_text("crop: null\nmask: [[0, 0.85, 0.15, 1]]\n")
    assert read(str(file)) == read([[0, 0.85, 0.15, 1]]) == read(read(str(file)).plain())
    assert read({"crop": None, "mask": []}) is read(None) is None
    file.write_text("crop: [0, 0\n")
    with pytest.raises(UsageError, match="not YAML"):
        read(file)


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """12 blue cartoons with a red corner, 12 green photos without."""
    for folder, colour in (("photos", (0, 120, 0)), ("cartoons", (0, 0, 120))):
        (tmp_path / folder).mkdir()
        for i in range(12):
            picture = Image.new("RGB", (60 + i, 40), colour)
            if folder == "cartoons":
                picture.paste((255, 0, 0), (0, 30, 9, 40))
            picture.save(tmp_path / folder / f"{i:02}.png")
    return tmp_path


@pytest.mark.parametrize("ignore", [[[0, 0.7, 0.17, 1]], {"crop": [0.2, 0, 1, 1]}])
def test_no_batch_of_any_part_shows_what_is_ignored(marked: Path, ignore) -> None:
    def redness(**changes) -> float:
        folders = {"photos": str(marked / "photos"), "cartoons": str(marked / "cartoons")}
        data = UnpairedData(**COMMON, **folders, **changes)
        draws = data.train_dataloader().dataset
        pickle.loads(pickle.dumps(draws))  # as workers get it
        shown = [draws[i]["cartoon"] for i in range(24)]
        for loader in (*data.val_dataloader(), *data.test_dataloader()):
            shown += [picture for batch in loader for each in batch.values() for picture in each]
        return max(picture[0].max().item() for picture in shown)

    assert redness() > 0.5
    assert redness(ignore=ignore) < -0.9


def test_pairs_stay_pairs(marked: Path) -> None:
    """Each cartoon is its photo, in another colour and with a red corner: what is left must coincide."""
    folders = {"photos": str(marked / "photos"), "cartoons": str(marked / "cartoons")}
    for path in (marked / "photos").iterdir():
        photo = Image.open(path)
        photo.paste((0, 255, 0), (30, 10, 45, 25))
        photo.save(path)
        cartoon = Image.open(marked / "cartoons" / path.name)
        cartoon.paste((0, 0, 255), (30, 10, 45, 25))
        cartoon.save(marked / "cartoons" / path.name)
    data = PairedData(**COMMON, **folders, layout="folders", ignore={"crop": [0.2, 0, 1, 1], "mask": []})
    draws = data.train_dataloader().dataset
    for i in range(12):
        views = draws[i]
        assert views["cartoon"][0].max() < -0.9
        assert (((views["photo"][1] > 0.5) != (views["cartoon"][2] > 0.5)).float().mean()) < 0.02


def test_drawings_are_treated_as_their_photos(marked: Path) -> None:
    class Mirror:
        """A teacher whose drawing is the photo at half its size."""

        def twin(self, source, index: int) -> Image.Image:
            picture = source.picture(index)
            return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)

    folders = {"photos": str(marked / "cartoons"), "cartoons": str(marked / "cartoons")}
    for ignore in ({"crop": [0.2, 0, 1, 1]}, [[0, 0.7, 0.2, 1]]):
        data = UnpairedData(**COMMON, **folders, ignore=ignore, teacher=Mirror(), extras=["drawn"])
        draws = data.train_dataloader().dataset
        for i in range(12):
            views = draws[i]
            assert views["drawn"].shape == views["photo"].shape
            assert views["drawn"][0].max() < -0.9


def test_a_corner_is_cut_off_at_its_cheaper_side_and_the_middle_is_masked() -> None:
    corner, middle = Box(0.0, 0.9, 0.3, 1.0), Box(0.45, 0.45, 0.55, 0.55)
    cut = remedy([corner])
    assert cut is not None
    assert cut.mask == ()
    assert cut.crop == pytest.approx((0, 0, 1, 0.888), abs=1e-3)
    both = remedy([corner, middle])
    assert both is not None
    assert len(both.mask) == 1
    assert both.crop == cut.crop
    assert remedy([]) is None
    bars = Box(0, 0.15, 1, 0.85)  # more than a fifth: there is nothing in them to keep
    assert remedy([], bars) == Ignore(crop=bars)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(shares, shares, *2 * [st.floats(0.01, 0.3)]), min_size=1, max_size=4))
def test_a_remedy_leaves_nothing_and_cuts_little(corners) -> None:
    boxes = [Box(x * (1 - w), y * (1 - h), x * (1 - w) + w, y * (1 - h) + h) for x, y, w, h in corners]
    ignore = remedy(boxes)
    assert ignore is not None
    kept = ignore.crop or Box(0, 0, 1, 1)
    assert kept.area >= 1 - MOST - 1e-3
    for box in boxes:
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        inside = kept.left < x < kept.right and kept.top < y < kept.bottom
        masked = any(m.left <= x <= m.right and m.top <= y <= m.bottom for m in ignore.mask)
        assert masked or not inside
