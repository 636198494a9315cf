"""`src/leaderboard.py` from checkpoints to a page, and on from where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from commands import Cli
from films import film
from inception import random_inception
from marked import scene
from served import filtered
from toonlab.app import leaderboard
from toonlab.errors import UsageError


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for name, flat in (("photos", False), ("cartoons", True)):
        (tmp_path / name).mkdir()
        for n in range(8):
            picture = scene(n, width=48, height=40)
            if flat:
                picture = np.full_like(picture, rng.integers(0, 255, 3))
            Image.fromarray(picture).save(tmp_path / name / f"{n}.png")
    film(tmp_path / "a.mp4", frames=4, size=(48, 32))
    filtered(tmp_path / "tiny.ckpt")
    small = ["size=32", "data.min_side=8", "resamples=20", "film=a.mp4", "film_frames=3", "frame=[32,48]"]
    return ["photos=photos", "styles={valid: cartoons}", "output=board", "shown=3", "rounds=1", *small]


def test_from_checkpoints_to_a_page_and_on(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    result = cli("leaderboard", "networks={Mine: tiny.ckpt, Untouched: photo}", *words)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert "## Against valid" in text
    rows = {
        line.split(" | ")[0][2:]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")
    }
    assert float(rows["Untouched"][1].split()[0]) == 1  # by its definition
    assert rows["Mine"][-4:-3] != [""]  # flicker
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    mine, untouched = board["entries"]
    assert mine["parameters"] > 0 < mine["gmacs"]
    assert mine["milliseconds"] > 0
    assert untouched["parameters"] is untouched["milliseconds"] is None
    sheet = Image.open(tmp_path / "board" / "sheet.jpg")
    assert sheet.width == 2 * 32 + 3 * 4  # the photo and one network; the photo itself has no second column

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "board").rglob("report.json")}
    assert len(before) == 4
    networks = "networks={Mine: tiny.ckpt, Untouched: photo, Drawn: flow}"
    more = cli("leaderboard", networks, *words, "cache_dir=elsewhere")  # which changes no score
    assert more.returncode == 0, more.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len([*(tmp_path / "board").rglob("report.json")]) == 6
    drawn = json.loads((tmp_path / "board" / "leaderboard.json").read_text())["entries"][2]
    assert drawn["parameters"] is None
    assert drawn["milliseconds"] > 0

    filtered(tmp_path / "tiny.ckpt", seed=1)  # another network under the same name is scored anew
    anew = cli("leaderboard", "networks={Mine: tiny.ckpt, Untouched: photo}", *words)
    assert anew.returncode == 0, anew.stderr
    changed = [path for path, then in before.items() if path.stat().st_mtime_ns != then]
    assert sorted(path.parts[-3] for path in changed) == ["Mine", "Mine"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("networks={Mine: nowhere.ckpt}", "nowhere.ckpt: no such run folder or file"),
        ("styles=cartoons", "styles=cartoons: name each folder of cartoons"),
        ("film=no.mp4", "film=no.mp4 does not exist"),
        ("photos=nowhere", "photos=nowhere"),
        ("shown=[3,nobody]", "shown: nobody: no such photo in photos"),
    ],
)
def test_mistakes_are_one_line(
    composed: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    change: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = [word for word in words if word.partition("=")[0] != change.partition("=")[0]]
    named = [] if change.startswith("networks") else ["networks={Mine: tiny.ckpt, Untouched: photo}"]
    with pytest.raises(UsageError) as told:
        leaderboard.run(composed(*named, *kept, change, config="leaderboard"))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_named_photos_are_shown_in_their_order(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    named = leaderboard._shown(composed("networks=[]", *words, "shown=[5,2]", config="leaderboard"))
    spaced = leaderboard._shown(composed("networks=[]", *words, "shown=8", config="leaderboard"))
    assert torch.equal(named, spaced[[5, 2]])


def test_an_output_that_cannot_be_made_is_one_line(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").touch()
    kept = [word for word in words if not word.startswith("output")]
    result = cli("leaderboard", "networks={Untouched: photo}", *kept, "output=file/board")
    assert result.returncode == 2
    assert "file/board: not a directory; name another place" in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr


def test_canonical_fid_where_its_weights_are_and_else_the_page_says_so(
    composed: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    random_inception(tmp_path / "inception.pth", monkeypatch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    short = [word for word in words if not word.startswith(("film", "rounds", "resamples"))]
    short += ["networks={Untouched: photo}", "rounds=0", "resamples=0", "film=null"]
    page = tmp_path / "board" / "leaderboard.md"
    leaderboard.run(composed(*short, config="leaderboard"))
    assert page.read_text().count("| no weights |") == 3

    named = "canonical.weights=inception.pth"
    leaderboard.run(composed(*short, named, config="leaderboard"))
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    scores = board["entries"][0]["canonical"]["valid"]["scores"]
    assert scores["fid"]["value"] == scores["fid"]["source_as_is"]  # the photos as they are
    assert "no weights" not in page.read_text()

    with pytest.raises(UsageError) as told:
        leaderboard.run(composed(*short, "canonical.weights=no.pth", config="leaderboard"))
    assert "no weights at no.pth" in str(told.value)
    assert "canonical.weights=FILE, or leave it out, canonical=null" in str(told.value)
    leaderboard.run(composed(*short, "canonical=null", config="leaderboard"))
    assert "Inception" not in page.read_text()


def test_a_page_of_somebody_else_stays(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "leaderboard.md").write_text("mine")
    named = "networks={Mine: tiny.ckpt, Untouched: photo}"
    with pytest.raises(UsageError, match="that is not this command's"):
        leaderboard.run(composed(named, *words, config="leaderboard"))
    assert (tmp_path / "board" / "leaderboard.md").read_text() == "mine"
