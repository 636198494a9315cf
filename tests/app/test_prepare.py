"""`src/prepare.py` as a user runs it, and the warm-up that reads what it wrote."""

import csv
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from commands import Cli, command, environment
from toonlab import images as im

QUICK = ("method.colours.iterations=1",)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i in range(8):
        noise = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(i)) * 2 - 1
        picture = torch.nn.functional.interpolate(noise, (72, 96), mode="bicubic")[0]
        im.save(im.to_picture(picture), folder / ("nested" if i % 2 else ".") / f"{i}.png")
    im.save(im.to_picture(picture), folder / "0.jpg")
    im.save(im.to_picture(-noise[0]), folder / "before_after.png")  # no name is taken by ours
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return folder


def test_pairs_are_written_once_and_named_after_their_photos(cli: Cli, tmp_path: Path, photos: Path) -> None:
    result = cli("prepare", "flow", "photos=photos", *QUICK)
    assert result.returncode == 0, result.stderr
    assert "skipped 1 of 11 files" in result.stderr
    assert "broken.jpg" in result.stderr
    output = tmp_path / "outputs" / "pairs" / "flow" / "photos"
    rows = list(csv.DictReader((output / "pairs.csv").open()))
    assert len(rows) == 10
    assert len({row["cartoon"] for row in rows}) == 10  # 0.jpg and 0.png have one each
    for row in rows:
        assert row["cartoon"].startswith("cartoons/")
        assert Image.open(output / row["cartoon"]).size == Image.open(row["photo"]).size
    assert (output / "before_after.png").is_file()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / ".cache").rglob("*.png")}
    assert len(before) == 10
    assert cli("prepare", "flow", "photos=photos", *QUICK).returncode == 0
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "outputs" / ".cache").rglob("*.png")}


def test_pairs_follow_their_photos_and_keep_what_was_edited(cli: Cli, tmp_path: Path) -> None:
    for name, level in (("x", 60), ("y", 67)):  # drawings of equal size in bytes
        im.save(Image.new("RGB", (40, 40), (level,) * 3), tmp_path / "photos" / f"{name}.png")
    assert cli("prepare", "flow", "photos=photos", "output=pairs", *QUICK).returncode == 0
    cartoons = tmp_path / "pairs" / "cartoons"
    before = {name: (cartoons / f"{name}.png").read_bytes() for name in "xy"}
    (tmp_path / "photos" / "x.png").rename(tmp_path / "t.png")
    (tmp_path / "photos" / "y.png").rename(tmp_path / "photos" / "x.png")
    (tmp_path / "t.png").rename(tmp_path / "photos" / "y.png")
    assert cli("prepare", "flow", "photos=photos", "output=pairs", *QUICK).returncode == 0
    assert {name: (cartoons / f"{name}.png").read_bytes() for name in "yx"} == {
        "y": before["x"],
        "x": before["y"],
    }
    Image.new("RGB", (40, 40), "red").save(cartoons / "x.png")
    assert cli("prepare", "flow", "photos=photos", "output=pairs", *QUICK).returncode == 0
    assert Image.open(cartoons / "x.png").getpixel((0, 0)) == (255, 0, 0)
    assert cli("prepare", "flow", "photos=photos", "output=elsewhere", *QUICK).returncode == 0
    assert (tmp_path / "elsewhere" / "cartoons" / "x.png").read_bytes() == before["y"]


def test_other_settings_do_not_overwrite(cli: Cli, tmp_path: Path, photos: Path) -> None:
    assert cli("prepare", "flow", "photos=photos", "output=pairs", *QUICK).returncode == 0
    result = cli("prepare", "flow_soft", "photos=photos", "output=pairs")
    assert result.returncode == 2
    assert "name another output=DIR" in result.stderr
    for output in ("photos/inside", "."):
        result = cli("prepare", "flow", "photos=photos", f"output={output}")
        assert result.returncode == 2
        assert "name one elsewhere" in result.stderr


def test_interrupted_it_goes_on(cli: Cli, tmp_path: Path, photos: Path) -> None:
    for i in range(40):
        noise = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(100 + i)) * 2 - 1
        picture = torch.nn.functional.interpolate(noise, (200, 300), mode="bicubic")[0]
        im.save(im.to_picture(picture), photos / "many" / f"{i}.png")
    process = subprocess.Popen(
        command("prepare", "flow", "photos=photos", "workers=1", *QUICK),
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    drawings = tmp_path / "outputs" / ".cache" / "drawings"
    end = time.monotonic() + 120
    while len(list(drawings.rglob("*.png"))) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    done = {path: path.stat().st_mtime_ns for path in drawings.rglob("[!.]*.png")}
    assert 3 <= len(done) < 50
    assert cli("prepare", "flow", "photos=photos", *QUICK).returncode == 0
    after = {path: path.stat().st_mtime_ns for path in drawings.rglob("*.png")}
    assert len(after) == 50
    assert done.items() <= after.items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flow"], "photos=… is required"),
        (["flw", "photos=photos"], "did you mean 'flow'?"),
        (["whitebox", "photos=photos"], "WhiteBox has to be trained"),
        (["flow", "phots=photos"], "did you mean 'photos'?"),
        (["flow", "photos=.", "workers=0"], "workers=0"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, arguments: list[str], words: str) -> None:
    result = cli("prepare", *arguments)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert words in line
