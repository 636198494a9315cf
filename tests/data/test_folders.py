from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toonlab.data import folders
from toonlab.data.folders import report, scan, split
from toonlab.errors import UsageError

GOOD = {
    *("sixteen.png", "cmyk.jpg", "grey.png", "la.png", "palette.png", "turned.jpg"),
    *("UPPER.JPG", "deep/er/nested.webp", "plain.bmp", "linked/beyond.png"),
}
BAD = {
    "cut.jpg": "truncated",
    "empty.png": "empty file",
    "text.png": "not an image",
    "dot.png": "1x1, smaller than 16",
    "gone.png": "No such file",
}


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    root, random_bytes = tmp_path / "messy", np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    rgb = Image.fromarray(random_bytes)
    (root / "deep" / "er").mkdir(parents=True)
    Image.fromarray(random_bytes[..., 0].astype(np.uint16) * 257).save(root / "sixteen.png")
    rgb.convert("CMYK").save(root / "cmyk.jpg")
    rgb.convert("L").save(root / "grey.png")
    rgb.convert("LA").save(root / "la.png")
    rgb.convert("P").save(root / "palette.png", transparency=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(root / "turned.jpg", exif=exif)
    rgb.save(root / "UPPER.JPG")
    rgb.save(root / "plain.bmp")
    rgb.save(root / "deep" / "er" / "nested.webp")
    (root / "cut.jpg").write_bytes((root / "UPPER.JPG").read_bytes()[:-200])
    (root / "empty.png").touch()
    (root / "text.png").write_text("a shopping list")
    rgb.resize((1, 1)).save(root / "dot.png")
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (root / "._UPPER.JPG").write_bytes(b"a Finder file")
    (root / ".thumbnails").mkdir()
    rgb.save(root / ".thumbnails" / "small.png")
    (root / "notes.txt").touch()
    (root / "list.txt").touch()
    (root / "Makefile").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    rgb.save(elsewhere / "beyond.png")
    (root / "linked").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    return root


def test_good_files_are_found_in_order_and_bad_ones_named(messy: Path) -> None:
    index = scan(messy, what="photos", min_side=16, cache_dir=None)
    names = [path.relative_to(messy).as_posix() for path in index.files]
    assert set(names) == GOOD
    assert names == sorted(names, key=lambda name: name.split("/"))
    reasons = {path.name: why for path, why in index.rejected.items()}
    assert reasons.keys() == BAD.keys()
    assert all(why in reasons[name] for name, why in BAD.items())
    assert index.ignored == {".txt": 2, "no extension": 1}


def test_report_is_one_warning_with_counts_and_names(messy: Path, caplog: pytest.LogCaptureFixture) -> None:
    report(scan(messy, what="photos", min_side=16, cache_dir=None), "photos")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    message = record.getMessage()
    assert f"photos: skipped 5 of 15 files in {messy}" in message
    assert all(name in message for name in BAD)
    assert "ignored 3 files that are not images (2 .txt, 1 no extension)" in message


def test_a_clean_folder_reports_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    report(scan(tmp_path, what="photos", min_side=16, cache_dir=None), "photos")
    assert not caplog.records


def test_a_long_report_keeps_its_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    for i in range(25):
        (tmp_path / f"bad{i:02}.png").touch()
    report(scan(tmp_path, what="photos", min_side=16, cache_dir=None), "photos")
    assert "skipped 25 of 26" in caplog.text
    assert "bad19.png" in caplog.text
    assert "bad20.png" not in caplog.text
    assert "and 5 more" in caplog.text


def test_cache_spares_decoding_until_a_file_changes(messy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, decoded, judge = messy.parent / "cache", list[str](), folders._judge

    def spy(path: Path) -> folders._Verdict:
        decoded.append(path.name)
        return judge(path)

    monkeypatch.setattr(folders, "_judge", spy)
    first = scan(messy, what="photos", min_side=16, cache_dir=cache)
    assert len(decoded) == len(GOOD) + len(BAD)
    decoded.clear()
    assert scan(messy, what="photos", min_side=16, cache_dir=cache) == first
    assert decoded == []
    Image.new("RGB", (64, 64)).save(messy / "text.png")
    (messy / "plain.bmp").write_bytes((messy / "plain.bmp").read_bytes()[:99])
    second = scan(messy, what="photos", min_side=16, cache_dir=cache)
    assert sorted(decoded) == ["plain.bmp", "text.png"]
    assert messy / "text.png" in second.files
    assert messy / "plain.bmp" in second.rejected
    decoded.clear()
    assert messy / "dot.png" in scan(messy, what="photos", min_side=1, cache_dir=cache).files
    assert decoded == []  # another limit needs no other look


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", '{"a": 3}', '{"a": [1]}', "\x00"])
def test_damaged_cache_is_rebuilt(messy: Path, damage: str) -> None:
    cache = messy.parent / "cache"
    first = scan(messy, what="photos", min_side=16, cache_dir=cache)
    (file,) = cache.iterdir()
    file.write_text(damage)
    assert scan(messy, what="photos", min_side=16, cache_dir=cache) == first
    assert file.read_text() != damage


def test_no_usable_image_says_what_was_sought_and_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "b.gif").touch()
    with pytest.raises(UsageError) as caught:
        scan(tmp_path, what="cartoons", min_side=16, cache_dir=None)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"cartoons={tmp_path} ")
    assert "bmp jpeg jpg png tif tiff webp" in message
    assert "a.png (not an image)" in message
    assert "1 .gif" in message
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no such file"):
        scan(tmp_path / "empty", what="cartoons", min_side=16, cache_dir=None)


@pytest.mark.parametrize("folder", [None, "", "/no/such/folder", __file__])
def test_missing_folder_names_the_key(folder: str | None) -> None:
    with pytest.raises(UsageError, match="photos=DIR"):
        scan(folder, what="photos", min_side=16, cache_dir=None)


SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@given(n=st.integers(3, 400), val=st.floats(0.01, 0.45), test=st.floats(0.01, 0.45))
def test_split_covers_in_order_without_overlap(n: int, val: float, test: float) -> None:
    files = [Path(f"{i:04}.png") for i in range(n)]
    parts = split(files, {"train": 1 - val - test, "val": val, "test": test}, "photos")
    assert parts["train"] + parts["val"] + parts["test"] == files
    assert all(parts.values())
    for name, share in (("val", val), ("test", test)):
        assert abs(len(parts[name]) - share * n) <= 2


def test_split_sizes() -> None:
    files = [Path(str(i)) for i in range(100)]
    random.Random(0).shuffle(files)
    assert [len(part) for part in split(files, SHARES, "photos").values()] == [80, 10, 10]
    assert [len(part) for part in split(files[:3], SHARES, "photos").values()] == [1, 1, 1]
    assert [len(part) for part in split(files[:7], {"val": 1, "test": 1}, "photos").values()] == [4, 3]


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_files_are_shared_with_a_warning(n: int, caplog: pytest.LogCaptureFixture) -> None:
    files = [Path(str(i)) for i in range(n)]
    assert split(files, SHARES, "cartoons") == dict.fromkeys(SHARES, files)
    assert f"cartoons: {n} files are too few" in caplog.text
