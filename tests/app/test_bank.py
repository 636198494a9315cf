"""`bank=DIR`: each mistake in one line, a bank for each generator, and the same from the real command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from commands import SMALL, Cli
from shipped import shipped, trained_generator
from toonlab.app.bank import bank_for
from toonlab.errors import UsageError
from toonlab.methods.latent_inpainting import LatentInpainting


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        small = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((40, 36)).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def method() -> LatentInpainting:
    return shipped("latent_inpainting", "completion=search", "data.size=32")


def named(tmp_path: Path, bank: object, size: object = 32) -> DictConfig:
    bank = None if bank is None else str(bank)
    return OmegaConf.create({"bank": bank, "bank_size": size, "cache_dir": str(tmp_path / "cache")})


def plant(photos: Path, fault: str) -> Path:
    """Return a path that is no bank for the reason of its name."""
    path = photos.parent / fault
    if fault == "file":
        return photos / "0.png"
    if fault != "missing":
        path.mkdir()
    if fault == "dangling":
        (path / "x.png").symlink_to(path / "gone.png")
    if fault == "loop":
        (path / "x.png").symlink_to(path / "x.png")
    if fault == "unreadable":
        (path / "x.png").write_bytes((photos / "0.png").read_bytes()[:40])
    if fault == "texts":
        (path / "a.txt").write_text("no image")
        (path / "folder.png").mkdir()
    return path


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("file", r"0\.png is a file, not a folder; pass bank=DIR"),
        ("missing", "missing does not exist; pass bank=DIR"),
        ("empty", "empty holds no usable image; .* found: no such file"),
        ("texts", r"texts holds no usable image; .*ignored 1 files that are not images \(1 \.txt\)"),
        ("dangling", r"dangling holds no usable image; .* x\.png \(.*No such file"),
        ("loop", r"loop holds no usable image; .* x\.png \(.*symbolic links"),
        ("unreadable", r"unreadable holds no usable image; .* x\.png \(not an image"),
    ],
)
def test_a_wrong_bank_is_one_line(
    photos: Path, tmp_path: Path, method: LatentInpainting, fault: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        bank_for(named(tmp_path, plant(photos, fault)), method)
    assert str(caught.value).startswith("bank")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_what_cannot_be_read_beside_good_photos_is_passed_over_and_named(
    photos: Path, tmp_path: Path, method: LatentInpainting, caplog: pytest.LogCaptureFixture
) -> None:
    for fault in ("dangling", "loop", "unreadable"):
        (plant(photos, fault) / "x.png").rename(photos / f"{fault}.png")
    with caplog.at_level("WARNING"):
        bank = bank_for(named(tmp_path, photos), method)
    assert sorted(Path(photo).name for photo in bank.photos) == ["0.png", "1.png", "2.png"]
    assert "bank: skipped 3 of 6 files" in caplog.text
    for fault in ("dangling", "loop", "unreadable"):
        assert f"{fault}.png" in caplog.text


def test_no_bank_at_all_says_what_to_name(tmp_path: Path, method: LatentInpainting) -> None:
    with pytest.raises(UsageError, match="bank=DIR"):
        bank_for(named(tmp_path, None), method)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((size, "pixels of each photo's side, 32 or more") for size in (0, -4, 31, 64.5, None, "abc", True)),
        (33, "multiples of 4, 32 for instance"),  # odd
        (66, "multiples of 4, 64 for instance"),
        (35, "multiples of 4, 36 for instance"),
    ],
)
def test_a_side_without_whole_cells_is_refused(
    photos: Path, tmp_path: Path, method: LatentInpainting, size: object, words: str
) -> None:
    with pytest.raises(UsageError, match=f"^bank_size={size}: .*{words}"):
        bank_for(named(tmp_path, photos, size), method)
    assert not list(tmp_path.rglob("maps.npy"))


def test_any_number_of_whole_cells_is_taken(photos: Path, tmp_path: Path, method: LatentInpainting) -> None:
    assert bank_for(named(tmp_path, photos, 36), method).shape[1:] == (9, 9)


def test_a_bank_is_never_anothers_generators(photos: Path, tmp_path: Path, method: LatentInpainting) -> None:
    other = shipped("latent_inpainting", "completion=search", "data.size=32", width=8)
    nudged = shipped("latent_inpainting", "completion=search", "data.size=32")
    with torch.no_grad():
        next(nudged.painter.parameters()).mul_(1.01)
    banks = [bank_for(named(tmp_path, photos), each) for each in (method, other, nudged, method)]
    assert len(list((tmp_path / "cache" / "banks").glob("*/maps.npy"))) == 3
    everything = torch.arange(3)
    assert torch.equal(banks[0].maps(everything), banks[3].maps(everything))
    assert not torch.equal(banks[0].maps(everything), banks[2].maps(everything))
    assert banks[1].shape[0] == 2 * banks[0].shape[0]
    with pytest.raises(ValueError, match="a bank of 3 maps"):
        banks[0].nearest(torch.zeros(1, *banks[1].shape), torch.ones(1, 1, 8, 8), 1)


@pytest.mark.slow
def test_the_real_command_says_it_in_one_line(cli: Cli, photos: Path, tmp_path: Path) -> None:
    wrong, ckpt = plant(photos, "dangling"), trained_generator(tmp_path / "g.ckpt")
    words = ["completion=search", "data.overfit=true", f"ckpt={ckpt}", f"bank={wrong}", "iterations=1"]
    done = cli("train", "method=latent_inpainting", SMALL[0], *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"bank={wrong} holds no usable image" in line
