"""Drawings: each photo once, whatever its name, and in the same cut as the photo."""

import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from toonlab import images as im
from toonlab.data.modules import SyntheticData, UnpairedData
from toonlab.data.teacher import Teacher, check_all
from toonlab.errors import UsageError


class Negative:
    """A drawing whose relation to its photo is plain to see; counts its calls."""

    def __init__(self, name: str = "negative") -> None:
        self.name, self.calls, self.lock = name, 0, threading.Lock()

    def __repr__(self) -> str:
        return self.name

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        with self.lock:
            self.calls += 1
        return -images


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        image = torch.rand(3, 40 + i, 60, generator=torch.Generator().manual_seed(i)) * 2 - 1
        smooth = torch.nn.functional.avg_pool2d(image[None], 9, 1, 4)[0] * 4
        im.save(im.to_picture(smooth), folder / f"{i}.png")
    return sorted(folder.iterdir())


def teacher(tmp_path: Path, draw=None, short_side: int = 512, workers: int = 2) -> Teacher:
    return Teacher(
        draw=draw or Negative(), cache_dir=tmp_path / "cache", short_side=short_side, workers=workers
    )


def test_each_photo_is_drawn_once_whatever_its_name(tmp_path: Path, photos: list[Path]) -> None:
    draw = Negative()
    ours = teacher(tmp_path, draw)
    results = dict(ours.prepare(photos))
    assert list(results) == photos
    assert draw.calls == 5
    for photo, drawing in results.items():
        wanted = im.to_picture(-im.to_tensor(Image.open(photo)))
        assert im.decode(drawing).rgb.tobytes() == wanted.tobytes()
    moved = photos[0].rename(photos[0].with_name("moved.png"))
    assert dict(ours.prepare([moved]))[moved] == results[photos[0]]
    assert draw.calls == 5


def test_another_photo_or_other_parameters_are_another_drawing(tmp_path: Path, photos: list[Path]) -> None:
    places = {
        teacher(tmp_path).place(photos[0]),
        teacher(tmp_path).place(photos[1]),
        teacher(tmp_path, Negative("other")).place(photos[0]),
        teacher(tmp_path, short_side=20).place(photos[0]),
    }
    assert len(places) == 4


def test_large_photos_are_drawn_small_and_small_ones_as_they_are(tmp_path: Path, photos: list[Path]) -> None:
    assert min(teacher(tmp_path, short_side=20).drawn(photos[0]).size) == 20
    assert teacher(tmp_path, short_side=500).drawn(photos[0]).size == (60, 40)


def test_copies_of_a_photo_are_drawn_side_by_side_without_harm(tmp_path: Path, photos: list[Path]) -> None:
    copies = [tmp_path / f"copy{i}.png" for i in range(16)]
    for copy in copies:
        copy.write_bytes(photos[0].read_bytes())
    results = dict(teacher(tmp_path, workers=8).prepare(copies))
    assert set(results.values()) == {teacher(tmp_path).place(photos[0])}


@pytest.mark.parametrize("damage", [b"", b"\x89PNG half of it"])
def test_a_damaged_drawing_is_drawn_again(tmp_path: Path, photos: list[Path], damage: bytes) -> None:
    ours = teacher(tmp_path)
    check_all(ours.prepare(photos))
    whole = ours.place(photos[0]).read_bytes()
    ours.place(photos[0]).write_bytes(damage)
    check_all(ours.prepare(photos))
    assert ours.place(photos[0]).read_bytes() == whole


@pytest.mark.parametrize("wrong", [{"short_side": 0}, {"workers": -2}, {"workers": "two"}])
def test_numbers_that_make_no_sense_are_named(tmp_path: Path, wrong) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}="):
        teacher(tmp_path, **wrong)


def test_an_interrupted_preparation_goes_on(tmp_path: Path, photos: list[Path]) -> None:
    first = Negative()
    outcomes = teacher(tmp_path, first, workers=1).prepare(photos)
    next(outcomes)
    outcomes.close()
    second = Negative()
    check_all(teacher(tmp_path, second).prepare(photos))
    assert first.calls + second.calls == 5
    assert first.calls >= 1
    assert not [path for path in (tmp_path / "cache").rglob("*") if ".part" in path.name]


def test_a_photo_that_cannot_be_drawn_is_named_and_stops_no_other(tmp_path: Path, photos: list[Path]) -> None:
    photos[2].write_bytes(b"no picture")
    results = dict(teacher(tmp_path).prepare(photos))
    assert [isinstance(result, str) for result in results.values()] == [False, False, True, False, False]
    with pytest.raises(UsageError, match=r"2\.png cannot be drawn: not an image"):
        check_all(teacher(tmp_path).prepare(photos))


def test_batches_hold_photo_and_drawing_in_the_same_cut(tmp_path: Path, photos: list[Path]) -> None:
    common = {"size": 16, "batch_size": 4, "eval_batch_size": 4, "workers": 0, "seed": 3, "zoom": (1.0, 2.0)}
    folders = {"photos": str(photos[0].parent), "cartoons": str(photos[0].parent), "min_side": 1}
    draw = Negative()
    data = UnpairedData(
        **folders,
        **common,
        flip=0.5,
        val_fraction=0.2,
        test_fraction=0.2,
        extras=["drawn"],
        teacher=teacher(tmp_path, draw),
    )
    data.prepare_data()
    assert draw.calls == 3  # training photos alone
    batch = next(iter(data.train_dataloader()))
    assert (batch["drawn"] + batch["photo"]).abs().max() < 0.02
    assert draw.calls == 3
    without = UnpairedData(**folders, **common, flip=0.5, val_fraction=0.2, test_fraction=0.2)
    assert set(next(iter(without.train_dataloader()))) == {"photo", "cartoon"}
    assert torch.equal(next(iter(without.train_dataloader()))["photo"], batch["photo"])


def test_pictures_that_are_no_files_are_drawn_on_the_way(tmp_path: Path) -> None:
    data = SyntheticData(
        count=4,
        size=16,
        batch_size=2,
        eval_batch_size=2,
        workers=0,
        seed=0,
        zoom=(1.0, 1.0),
        flip=0.0,
        extras=["drawn"],
        teacher=teacher(tmp_path),
    )
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    assert (batch["drawn"] + batch["photo"]).abs().max() < 0.02


def test_a_drawing_nobody_can_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the method wants the view 'drawn'"):
        SyntheticData(
            count=4,
            size=16,
            batch_size=2,
            eval_batch_size=2,
            workers=0,
            seed=0,
            zoom=(1.0, 1.0),
            flip=0.0,
            extras=["drawn"],
        )
