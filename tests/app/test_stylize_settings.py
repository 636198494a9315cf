"""Settings of `stylize.py` beyond what is painted: formats, workers, precision, fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Cli
from toonlab.app.precision import is_native


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    ramp = np.linspace(0, 255, 60 * 41 * 3).reshape(41, 60, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "in" / "a.png")
    frames = [Image.fromarray(np.roll(ramp, 9 * i, 1)) for i in range(3)]
    first, *others = frames
    first.save(tmp_path / "in" / "moving.gif", save_all=True, append_images=others, duration=80, loop=0)
    return tmp_path / "in"


def test_one_command_with_every_setting(cli: Cli, tmp_path: Path, photos: Path) -> None:
    result = cli(
        *("stylize", "method=flow", "input=in", "output=out", "format=webp", "file_quality=60"),
        *("keep_color=0.5", "quality=fast", "fast.side=32", "workers=2", "batch=2"),
    )
    assert result.returncode == 0, result.stderr
    assert "2 painted, 0 failed" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.webp", "moving.webp"]
    with Image.open(tmp_path / "out" / "moving.webp") as moving:
        assert moving.n_frames == 3
        assert moving.size == (60, 41)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("quality=best", "quality=best: use one of full, fast"),
        ("workers=-1", "workers=-1: a whole number, 0 or more"),
        ("precision=fp12", "precision=fp12: use one of fp32"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, tmp_path: Path, photos: Path, setting: str, words: str) -> None:
    result = cli("stylize", "method=flow", "input=in", "output=out", setting)
    assert result.returncode == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(is_native("bf16"), reason="this CPU computes in bf16")
def test_bf16_on_a_processor_without_it_is_refused(cli: Cli, tmp_path: Path, photos: Path) -> None:
    result = cli("stylize", "method=flow", "input=in", "output=out", "precision=bf16", "device=cpu")
    assert result.returncode == 2
    assert "precision=bf16: this CPU has no such arithmetic" in result.stderr
