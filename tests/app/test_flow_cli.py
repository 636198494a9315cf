"""Drawing without a checkpoint, as a newcomer tries it first."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Cli


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    ramp = np.linspace(0, 255, 90 * 61 * 3).reshape(61, 90, 3).astype(np.uint8)
    ramp[20:40, 30:60] = (200, 40, 30)
    Image.fromarray(ramp).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_it_draws_without_a_checkpoint(cli: Cli, tmp_path: Path, photo: Path) -> None:
    result = cli("stylize", "method=flow_ink", "input=photo.png", "output=drawn.png")
    assert result.returncode == 0, result.stderr
    assert "1 painted, 0 failed" in result.stderr
    drawn = np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB")).astype(int)
    assert drawn.shape == (61, 90, 3)
    assert np.abs(drawn - np.asarray(Image.open(photo)).astype(int)).mean() > 1


def test_an_output_that_is_not_named_lies_beside_its_input(cli: Cli, tmp_path: Path, photo: Path) -> None:
    result = cli("stylize", "method=flow_ink", "input=photo.png")
    assert result.returncode == 0, result.stderr
    assert "output=photo-cartoon.png" in result.stderr
    assert Image.open(tmp_path / "photo-cartoon.png").size == (90, 61)


@pytest.mark.slow
def test_the_first_use_says_why_it_takes_long_and_the_second_does_not(
    cli: Cli, tmp_path: Path, photo
) -> None:
    said = []
    for name in ("a.png", "b.png"):
        result = cli(
            "stylize",
            "method=flow",
            "method.show=lines",
            "input=photo.png",
            f"output={name}",
            NUMBA_CACHE_DIR=str(tmp_path / "numba"),
        )
        assert result.returncode == 0, result.stderr
        said.append(result.stderr.count("Compiling the image filters"))
    assert said == [1, 0]


def test_folders_steps_and_failures(cli: Cli, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "in").mkdir()
    photo.rename(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.jpg").write_bytes(b"not a picture")
    result = cli("stylize", "method=flow", "method.show=field", "input=in", "output=field")
    assert result.returncode == 1
    assert "1 painted, 1 failed" in result.stderr
    assert "b.jpg" in result.stderr
    drawn = np.asarray(Image.open(tmp_path / "field" / "a.png").convert("RGB"))
    assert (drawn[..., 0] == drawn[..., 1]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method=flw"], ["method=flw", "did you mean 'flow'?"]),
        (["method=whitebox"], ["WhiteBox has to be trained", "ckpt=RUN_DIR"]),
        (["method=flow", "ckpt=somewhere"], ["not both"]),
        (["method=flow", "method.lines.tua=1"], ["method.lines.tua", "did you mean 'tau'?"]),
        (["method=flow", "method.show=line"], ["show=line", "did you mean 'lines'?"]),
    ],
)
def test_mistakes_are_one_line(cli: Cli, photo: Path, arguments: list[str], words: list[str]) -> None:
    result = cli("stylize", *arguments, "input=photo.png", "output=drawn.png")
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    for word in words:
        assert word in line


def test_it_is_scored_like_a_trained_method_and_cannot_be_trained(cli: Cli, tmp_path: Path) -> None:
    result = cli("eval", "method=flow", "data=synthetic", "output=scores")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "scores" / "report.json").read_text())
    assert report["about"]["method"]["_target_"].endswith("FlowAbstraction")
    assert "name data" not in result.stderr
    result = cli("eval", "method=flow")
    assert result.returncode == 2
    assert "add data=demo" in result.stderr
    result = cli("eval", "method=flow", "data=synthetic", "data.count=6", "output=few")
    assert result.returncode == 2
    assert "found 6 and 6" in result.stderr
    assert "painting" not in result.stderr  # told before the long work, not after it
    result = cli("train", "method=flow")
    assert result.returncode == 2
    assert "learns nothing" in result.stderr
