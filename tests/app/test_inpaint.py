"""`src/inpaint.py` around a small generator: search, its bank, and each mistake in a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image
from torch import nn

from commands import Cli
from toonlab.app import inpaint
from toonlab.engine.checkpoint import write_imported
from toonlab.errors import UsageError
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

Config = Callable[..., DictConfig]


def checkpoint(path: Path, network: nn.Module, **arguments: int) -> Path:
    target = f"{type(network).__module__}.{type(network).__name__}"
    node = {"_target_": target, **arguments}
    write_imported(path, network.state_dict(), painting={}, config={"method": {"generator": node}}, origin={})
    return path


def photos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for i, name in enumerate(names):
        small = np.random.default_rng(i).integers(0, 255, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(small).resize((40, 32), Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.fixture
def words(tmp_path: Path) -> dict[str, object]:
    """A command line that works."""
    torch.manual_seed(0)
    return {
        "ckpt": checkpoint(tmp_path / "g.ckpt", ResnetGenerator(width=4, blocks=1), width=4, blocks=1),
        "input": photos(tmp_path / "in", "a.png", "b.png"),
        "mask": "box",
        "output": tmp_path / "out",
        "bank": photos(tmp_path / "bank", "x.png", "y.png", "z.png"),
        "bank_size": 32,
        "search.steps": 2,
        "search.window": 5,
        "candidates": 2,
        "device": "cpu",
    }


def run(composed: Config, words: dict[str, object], **changes: object) -> None:
    said = [f"{key}={'null' if value is None else value}" for key, value in (words | changes).items()]
    inpaint.run(composed(*said, config="inpaint"))


def rows(words: dict[str, object]) -> list[dict[str, str]]:
    with Path(str(words["output"]), "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_searches_around_any_generator_with_a_latent(
    composed: Config, words: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run(composed, words)
    found = rows(words)
    assert [row["photo"] for row in found] == ["a.png", "b.png"]
    assert all(float(row["hole_l1"]) > 0 and row["missing"] == "0.2500" for row in found)
    assert len(list((tmp_path / "out").glob("a_candidate_*.png"))) == 2
    assert "2 completed, 0 failed" in caplog.text
    (bank,) = tmp_path.rglob("maps.npy")
    made = bank.stat().st_mtime_ns

    # The same command does nothing; a new photo is added to the table, and the bank is found again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    Image.open(tmp_path / "in" / "a.png").save(tmp_path / "in" / "c.png")
    run(composed, words)
    assert "1 completed, 0 failed\n2 skipped" in caplog.text
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert [row["photo"] for row in rows(words)] == ["a.png", "b.png", "c.png"]
    assert (list(tmp_path.rglob("maps.npy")), bank.stat().st_mtime_ns) == ([bank], made)


def test_a_bad_mask_fails_alone(
    composed: Config, words: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (40, 32), 0)
    mask.paste(255, (0, 20, 10, 32))  # touches two borders
    mask.save(tmp_path / "masks" / "a.png")
    Image.new("L", (7, 7), 255).save(tmp_path / "masks" / "b.png")
    mask.save(tmp_path / "masks" / "other.png")
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as caught:
        run(composed, words, mask=tmp_path / "masks")
    assert caught.value.code == 1
    assert "b.png is 7x7 and its photo 40x32 pixels" in caplog.text
    assert "1 masks belong to no photo, such as other.png" in caplog.text
    (row,) = rows(words)
    assert (row["photo"], row["hole_l1"]) == ("a.png", "")


def test_ctrl_c_keeps_what_is_done(
    composed: Config, words: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toonlab.inference.inpainter import Inpainter

    complete = Inpainter.complete

    def once(self: Inpainter, *arguments: object, **more: object) -> object:
        if (tmp_path / "out" / "a.png").exists():
            raise KeyboardInterrupt
        return complete(self, *arguments, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Inpainter, "complete", once)
        with pytest.raises(SystemExit) as caught:
            run(composed, words)
    assert caught.value.code == 130
    assert [row["photo"] for row in rows(words)] == ["a.png"]
    run(composed, words)
    assert [row["photo"] for row in rows(words)] == ["a.png", "b.png"]


def test_mistakes_are_one_line(composed: Config, words: dict[str, object], tmp_path: Path) -> None:
    unet = checkpoint(tmp_path / "unet.ckpt", UNet(width=4, blocks=1), width=4, blocks=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("my,own\n1,2\n")
    inside = photos(tmp_path / "in" / "masks", "m.png")
    for changes, said in (
        ({"ckpt": unet}, "no latent to complete"),
        ({"ckpt": tmp_path / "none.ckpt"}, "no such file"),
        ({"completion": "learned"}, "no network that completes"),
        ({"completion": "lerned"}, "did you mean 'learned'"),
        ({"bank": None}, "bank=DIR"),
        ({"bank": tmp_path / "none"}, "does not exist; pass bank=DIR"),
        ({"mask": "bocks"}, "did you mean 'blocks'"),
        ({"mask": inside}, "would be taken for photos: move it"),
        ({"input": tmp_path / "none"}, "does not exist: name a photo"),
        ({"output": tmp_path / "in"}, "choose another output"),
        ({"output": tmp_path / "x.png"}, "name a folder"),
        ({"output": tmp_path / "mine"}, "has other columns: name another folder"),
        ({"candidates": 0}, "candidates=0: a whole number"),
        ({"search.steps": -1}, "steps=-1"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            run(composed, words, **changes)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "mine" / "results.csv").read_text() == "my,own\n1,2\n"


def test_the_bank_is_by_default_what_the_checkpoint_was_trained_on(
    composed: Config,
    words: dict[str, object],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    reads_of: Callable[[Path], list[Path]],
) -> None:
    held = torch.load(Path(str(words["ckpt"])), weights_only=True)
    held["toonlab"]["config"]["data"] = {"photos": str(words["bank"])}
    torch.save(held, Path(str(words["ckpt"])))
    caplog.set_level("INFO")
    reads = reads_of(Path(str(words["ckpt"])))
    run(composed, words, bank=None, input=tmp_path / "in" / "a.png")
    assert len(reads) == 1
    assert f"the photos that it was trained on, {words['bank']}" in caplog.text
    assert (tmp_path / "out" / "a_strip.png").is_file()


def test_a_bank_passes_over_what_training_would_and_says_so(
    composed: Config, words: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bank = tmp_path / "bank"
    for name in (".x.png", "._y.png"):  # a half-written file, and what a Mac leaves beside each
        (bank / name).write_bytes(b"no image")
    (bank / "broken.png").write_bytes(b"no image")
    (bank / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (bank / "notes.txt").touch()
    run(composed, words)
    assert f"bank: skipped 2 of 5 files in {bank}" in caplog.text
    assert "broken.png (not an image)" in caplog.text
    assert "ignored 1 files that are not images (1 .txt)" in caplog.text
    (about,) = tmp_path.rglob("about.json")
    kept = json.loads(about.read_text())
    assert sorted(Path(photo).name for photo in kept["photos"]) == ["x.png", "y.png", "z.png"]
    assert kept["rejected"] == {}


def test_the_command_line(cli: Cli, words: dict[str, object], tmp_path: Path) -> None:
    said = [f"{key}={value}" for key, value in (words | {"input": tmp_path / "in" / "a.png"}).items()]
    done = cli("inpaint", *said)
    assert done.returncode == 0, done.stderr
    assert "inpaint: 100%" in done.stderr
    assert (tmp_path / "out" / "a_strip.png").is_file()
