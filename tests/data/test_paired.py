"""Pairs: found by stem, told apart from strays, cut alike."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toonlab.data.paired import Halves, PairedData
from toonlab.errors import UsageError

COMMON = {
    "size": 32,
    "batch_size": 4,
    "eval_batch_size": 4,
    "workers": 0,
    "seed": 0,
    "zoom": (1.0, 2.0),
    "flip": 0.5,
    "val_fraction": 0.2,
    "test_fraction": 0.2,
}


def landscape(seed: int, width: int = 96, height: int = 64) -> Image.Image:
    """Smooth enough that its scale does not matter, with no symmetry."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def negative(picture: Image.Image) -> Image.Image:
    return Image.eval(picture, lambda v: 255 - v)


def folders(root: Path, count: int = 10, scale: int = 1) -> dict[str, str]:
    for i in range(count):
        picture = landscape(i)
        save(picture, root / "photos" / f"set{i % 2}" / f"{i}.png")
        smaller = negative(picture).resize((96 // scale, 64 // scale), Image.Resampling.BICUBIC)
        save(smaller, root / "cartoons" / f"set{i % 2}" / f"{i}.webp", lossless=True)
    return {"photos": str(root / "photos"), "cartoons": str(root / "cartoons")}


def save(picture: Image.Image, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)


def data(**changes: object) -> PairedData:
    return PairedData(**({"layout": "folders"} | COMMON | changes))


def batches(source: PairedData, count: int = 3) -> list[dict[str, torch.Tensor]]:
    loader = iter(source.train_dataloader())
    return [next(loader) for _ in range(count)]


@pytest.mark.parametrize("scale", [1, 2])
def test_a_pair_is_cut_and_mirrored_alike_at_any_scale(tmp_path: Path, scale: int) -> None:
    for batch in batches(data(**folders(tmp_path, scale=scale)), 4):
        assert batch["photo"].shape == batch["cartoon"].shape == (4, 3, 32, 32)
        difference = (batch["photo"] + batch["cartoon"]).abs()  # a negative, in [-1, 1]
        assert difference.mean() < 0.02 * scale
        shuffled = (batch["photo"] + batch["cartoon"].roll(1, 0)).abs()
        assert shuffled.mean() > 0.2


def test_unpaired_data_of_the_same_folders_is_not_cut_alike(tmp_path: Path) -> None:
    from toonlab.data.modules import UnpairedData

    loose = UnpairedData(**COMMON, **folders(tmp_path))
    batch = next(iter(loose.train_dataloader()))
    assert (batch["photo"] + batch["cartoon"]).abs().mean() > 0.2


def test_parts_hold_the_same_pairs_and_share_none(tmp_path: Path) -> None:
    pairs = data(**folders(tmp_path))
    parts = pairs.open()
    names = {
        domain: {part: [path.stem for path in files.paths] for part, files in of.items()}
        for domain, of in parts.items()
    }
    assert names["photo"] == names["cartoon"]
    everything = [stem for part in names["photo"].values() for stem in part]
    assert sorted(everything) == sorted(str(i) for i in range(10))
    assert [len(part) for part in names["photo"].values()] == [6, 2, 2]


def test_strays_are_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = folders(tmp_path)
    save(landscape(20), tmp_path / "photos" / "lonely.png")
    save(landscape(21), tmp_path / "cartoons" / "also_lonely.png")
    save(landscape(22), tmp_path / "photos" / "bent.png")
    save(landscape(22, 64, 64), tmp_path / "cartoons" / "bent.png")
    save(landscape(0), tmp_path / "photos" / "set0" / "0.jpg")
    with caplog.at_level(logging.WARNING):
        parts = data(**arguments, split="all").open()
    stems = {path.stem for path in parts["photo"]["train"].paths}
    assert stems == {str(i) for i in range(1, 10)}
    text = caplog.text
    assert "pairs: 9 of equal stems and proportions" in text
    assert "1 of other proportions than their cartoon (bent.png)" in text
    assert "2 photos of a stem that another has too (set0/0.jpg, set0/0.png)" in text
    assert "1 photos without a cartoon (lonely.png)" in text
    assert "2 cartoons without a photo (also_lonely.png, set0/0.webp)" in text


def test_no_pair_at_all_is_one_line_with_examples(tmp_path: Path) -> None:
    save(landscape(0), tmp_path / "photos" / "a.png")
    save(landscape(1), tmp_path / "cartoons" / "b.png")
    with pytest.raises(UsageError, match=r"make no pair .*a\.png.*b\.png.*same path") as caught:
        data(photos=str(tmp_path / "photos"), cartoons=str(tmp_path / "cartoons")).open()
    assert "\n" not in str(caught.value)


def test_side_by_side_images(tmp_path: Path) -> None:
    for i in range(8):
        picture = landscape(i)
        both = Image.new("RGB", (2 * 96 + i % 2, 64))  # odd widths too
        both.paste(picture, (0, 0))
        both.paste(negative(picture), (both.width - 96, 0))
        save(both, tmp_path / f"{i}.png")
    for side in ("left", "right"):
        pairs = data(layout="concat", source=str(tmp_path), photo_side=side, split="all")
        for batch in batches(pairs):
            assert (batch["photo"] + batch["cartoon"]).abs().mean() < 0.03
        photo = pairs.open()["photo"]["train"].picture(0)
        wanted = landscape(0) if side == "left" else negative(landscape(0))
        assert photo.tobytes() == wanted.tobytes()


@settings(max_examples=30, deadline=None)
@given(width=st.integers(2, 9), height=st.integers(1, 5))
def test_halves_are_equal_and_leave_at_most_a_middle_column(
    tmp_path_factory, width: int, height: int
) -> None:
    path = tmp_path_factory.mktemp("halves") / "a.png"
    columns = np.arange(width, dtype=np.uint8)[None, :, None].repeat(height, 0).repeat(3, 2)
    Image.fromarray(columns).save(path)
    left, right = (
        np.asarray(Halves([path], side).picture(0))[0, :, 0].tolist() for side in ("left", "right")
    )
    assert left == list(range(width // 2))
    assert right == list(range(width - width // 2, width))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layout": "cocnat"}, "data.layout=cocnat.*did you mean 'concat'"),
        ({"layout": "concat", "photos": "x"}, "layout=concat reads source=DIR"),
        ({"source": "x"}, "add layout=concat"),
        ({"photos": "x", "cartoons": "y", "val_photos": "z"}, "val_photos=DIR val_cartoons=DIR"),
        ({"layout": "concat", "source": "x", "photo_side": "top"}, "data.photo_side=top"),
    ],
)
def test_mistakes_are_answered(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        data(**arguments)


def test_images_that_are_not_side_by_side_are_doubted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(6):
        both = Image.new("RGB", (192, 64))
        both.paste(landscape(i), (0, 0))
        both.paste(negative(landscape(i)), (96, 0))
        save(both, tmp_path / "pairs" / f"{i}.png")
        save(landscape(i, 192, 64), tmp_path / "single" / f"{i}.png")
    with caplog.at_level(logging.WARNING):
        data(layout="concat", source=str(tmp_path / "pairs")).open()
        assert "side by side" not in caplog.text
        data(layout="concat", source=str(tmp_path / "single")).open()
    assert "halves of most images do not show the same" in caplog.text


def test_too_narrow_halves_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(landscape(0, 96, 64), tmp_path / "wide.png")
    save(landscape(0, 30, 64), tmp_path / "narrow.png")
    with caplog.at_level(logging.WARNING):
        parts = data(layout="concat", source=str(tmp_path), split="all").open()
    assert [path.name for path in parts["photo"]["train"].paths] == ["wide.png"]
    assert "1 halves narrower than 16 (narrow.png)" in caplog.text


def test_held_out_pairs(tmp_path: Path) -> None:
    train, held = folders(tmp_path / "train"), folders(tmp_path / "held", 4)
    parts = data(**train, val_photos=held["photos"], val_cartoons=held["cartoons"]).open()
    assert [len(part) for part in parts["photo"].values()] == [10, 2, 2]
    assert all("held" in str(path) for path in parts["cartoon"]["test"].paths)
