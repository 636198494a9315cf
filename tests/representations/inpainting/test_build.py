"""Banks on disk: found by content, continued after a kill, honest about what they passed over."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from toonlab.errors import UsageError
from toonlab.representations.inpainting import build
from toonlab.representations.inpainting.bank import LatentBank
from toonlab.representations.inpainting.build import open_bank, weights_key


class Counting:
    """Means of 4x4 pixels; counts what it encodes and may be stopped."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.seen, self.stop_after = 0, stop_after

    def __call__(self, photos: Tensor) -> Tensor:
        if self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(photos)
        return nn.functional.avg_pool2d(photos, 4)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(7):
        Image.fromarray(rng.integers(0, 255, (16, 20, 3), dtype=np.uint8)).save(tmp_path / f"photos/{i}.png")
    return sorted((tmp_path / "photos").iterdir())


def opened(photos: list[Path], encode: Counting, **changes: object) -> LatentBank:
    cache = photos[0].parents[1] / "cache" if photos else Path("unused")
    arguments = {"key": "k", "size": 16, "cache_dir": cache, "batch_size": 2, "progress": False}
    return open_bank(photos, encode=encode, **(arguments | changes))  # type: ignore[arg-type]


def test_holds_the_latents_of_the_photos_middles(photos: list[Path]) -> None:
    bank = opened(photos, Counting(), exact_up_to=3)
    assert (len(bank), bank.shape, bank.exact_up_to) == (7, (3, 4, 4), 3)
    name = bank.photos[2]
    middle = Image.open(name).crop((2, 0, 18, 16))
    expected = np.asarray(middle).reshape(4, 4, 4, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(bank.maps(torch.tensor([2]))[0], expected, atol=1e-3)


def test_is_made_once_and_found_by_content(photos: list[Path], tmp_path: Path) -> None:
    opened(photos, Counting())
    again = Counting()
    opened(photos[::-1], again)
    shutil.copytree(tmp_path / "photos", tmp_path / "elsewhere")
    opened(sorted((tmp_path / "elsewhere").iterdir()), again, cache_dir=tmp_path / "cache")
    assert again.seen == 0
    for change in ({"key": "other"}, {"size": 12}):
        opened(photos, again, **change)
    assert again.seen == 14
    Image.new("RGB", (20, 20), "red").save(photos[0])
    opened(photos, again)
    assert again.seen == 21


def test_a_stopped_build_goes_on_where_it_was(photos: list[Path], tmp_path: Path) -> None:
    first = Counting(stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        opened(photos, first)
    assert not list((tmp_path / "cache").rglob(build.ABOUT))  # nothing that looks finished
    second = Counting()
    bank = opened(photos, second)
    assert (first.seen, second.seen) == (4, 3)
    whole = opened(photos, Counting(), cache_dir=tmp_path / "other")
    everything = torch.arange(7)
    assert torch.equal(bank.maps(everything), whole.maps(everything))
    assert torch.equal(bank.channel_std(), whole.channel_std())
    assert bank.photos == whole.photos
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.parametrize("damage", ["half", "gone", "no maps"])
def test_a_damaged_start_is_made_anew(photos: list[Path], tmp_path: Path, damage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        opened(photos, Counting(stop_after=4))
    (progress,) = (tmp_path / "cache").rglob(build.PROGRESS)
    if damage == "no maps":
        (progress.parent / build.MAPS).unlink()
    else:
        progress.write_text('{"done": 4' if damage == "half" else "")
    again = Counting()
    assert len(opened(photos, again)) == 7
    assert again.seen == 7


@pytest.mark.parametrize("part", [build.MAPS, build.POOLED, build.ABOUT])
@pytest.mark.parametrize("damage", ["gone", "empty", "half"])
def test_a_damaged_bank_is_named_with_its_remedy(photos: list[Path], part: str, damage: str) -> None:
    whole = opened(photos, Counting()).channel_std()
    (path,) = photos[0].parents[1].rglob(part)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2 if damage == "half" else 0])
    with pytest.raises(UsageError, match=rf"bank: {path.parent} is damaged \(.*\); remove it"):
        opened(photos, Counting())
    shutil.rmtree(path.parent)
    assert torch.equal(opened(photos, Counting()).channel_std(), whole)


def test_broken_photos_are_counted_and_passed_over(
    photos: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "photos" / "x.png"
    broken.write_bytes(b"no image")
    for _ in range(2):  # when it is made, and when it is found
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            bank = opened([*photos, broken], Counting())
        assert len(bank) == 7
        assert "1 photos passed over, such as" in caplog.text
        assert "x.png: not an image" in caplog.text
    with pytest.raises(UsageError, match=r"none of 1 photos can be decoded, such as .*x.png"):
        opened([broken], Counting())
    with pytest.raises(UsageError, match=r"no photos to make it of; .*bank=DIR"):
        opened([], Counting())


def test_a_full_disk_is_told_beforehand(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 50, 50))
    with pytest.raises(UsageError, match=r"needs 0.0 GB .* 0.0 GB are free; name a folder of fewer photos"):
        opened(photos, Counting())


def test_the_key_tells_weights_apart() -> None:
    one = {"a": torch.zeros(2), "b": torch.ones(1)}
    assert weights_key(one) == weights_key(dict(reversed(one.items())))
    others = [
        {"a": torch.zeros(2), "b": torch.full((1,), 1 + 1e-6)},
        {"a": torch.zeros(1, 2), "b": torch.ones(1)},
        {"a": torch.zeros(2).half(), "b": torch.ones(1)},
        {"c": torch.zeros(2), "b": torch.ones(1)},
    ]
    assert len({weights_key(each) for each in [one, *others]}) == 5


def test_the_record_names_every_photo(photos: list[Path], tmp_path: Path) -> None:
    opened(photos, Counting())
    (about,) = (tmp_path / "cache").rglob(build.ABOUT)
    assert sorted(json.loads(about.read_text())["photos"]) == [str(photo) for photo in photos]
