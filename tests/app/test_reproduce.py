"""`src/reproduce.py`: a recipe once more, beside what its card says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import DictConfig
from PIL import Image

from commands import Cli
from marked import scene
from toonlab.app import reproduce
from toonlab.cards import FOLDERS, compare, described, differences, read_card
from toonlab.errors import UsageError

RECIPE = [
    "experiment=whitebox_peppercarrot_cpu",
    *("iterations=2", "eval_every=2", "data.size=32", "data.batch_size=1", "data.zoom=[1.0,1.2]"),
    *("method.warmup_iterations=1", "method.generator.width=4", "method.generator.blocks=1"),
    *("method.d_surface.width=4", "method.d_texture.width=4", "method.d_projected.width=4"),
    *("structure.segments=16", "data.workers=0"),
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, name in enumerate(FOLDERS):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for n in range(16):
            picture = scene(100 * number + n, width=48, height=40)
            Image.fromarray(picture).save(tmp_path / "pictures" / name / f"{n}.png")
    return tmp_path / "pictures"


def card(pictures: Path, path: Path, **scores: dict[str, float]) -> Path:
    said: dict[str, Any] = {
        "name": "tiny",
        "recipe": RECIPE,
        "evaluation": ["data.size=32", "resamples=0"],
        "pictures": {name: described(pictures / name) for name in FOLDERS},
        "scores": scores,
        "about": {"licence": "CC0"},
    }
    path.write_text(yaml.safe_dump(said))
    return path


@pytest.mark.slow  # two commands in processes of their own
def test_a_card_comes_out_and_another_does_not(cli: Cli, tmp_path: Path, pictures: Path) -> None:
    wide, narrow = {"value": 0.0, "tolerance": 1e6}, {"value": 1e6, "tolerance": 1.0}
    words = [f"pictures={pictures}", "output=again"]
    first = card(pictures, tmp_path / "card.yaml", kid_effnetlite0=wide)
    result = cli("reproduce", str(first), *words)
    assert result.returncode == 0, result.stderr
    assert "tiny: reproduced" in result.stderr
    trained = (tmp_path / "again" / "run" / "result.json").stat().st_mtime_ns
    report = json.loads((tmp_path / "again" / "scores" / "report.json").read_text())
    assert report["protocol"]["images"]["sources"] == 16  # all of the held-out photos

    # The same command trains and scores nothing twice; a score outside its tolerance is exit code 1.
    second = card(pictures, tmp_path / "other.yaml", kid_effnetlite0=wide, fd_effnetlite0=narrow)
    result = cli("reproduce", str(second), *words)
    assert result.returncode == 1
    assert "not reproduced" in result.stderr
    lines = {
        line.split()[0]: line.split()[-1] for line in result.stderr.splitlines() if "effnetlite0 " in line
    }
    assert lines == {"kid_effnetlite0": "yes", "fd_effnetlite0": "NO"}
    assert (tmp_path / "again" / "run" / "result.json").stat().st_mtime_ns == trained


def test_what_is_done_is_not_done_again(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Path
) -> None:
    """As above, with commands that only pretend."""
    ran: list[tuple[str, ...]] = []

    def pretend(script: str, *arguments: str) -> None:
        ran.append((script, *arguments))
        if script == "train":
            if len(ran) == 1:  # killed
                (tmp_path / "again" / "run" / "checkpoints").mkdir(parents=True)
                (tmp_path / "again" / "run" / "checkpoints" / "last.ckpt").touch()
                raise SystemExit(130)
            (tmp_path / "again" / "run" / "result.json").write_text('{"status": "finished"}')
        else:
            (tmp_path / "again" / "scores").mkdir()
            (tmp_path / "again" / "scores" / "report.json").write_text('{"scores": {"kid": {"value": 0.5}}}')

    monkeypatch.setattr(reproduce, "_command", pretend)
    words = [f"pictures={pictures}", f"output={tmp_path / 'again'}"]
    path = card(pictures, tmp_path / "card.yaml", kid={"value": 0.4, "tolerance": 0.2})
    with pytest.raises(SystemExit, match="130"):
        reproduce.run(composed(f"card={path}", *words, config="reproduce"))
    for _ in range(2):
        reproduce.run(composed(f"card={path}", *words, config="reproduce"))
    assert [each[0] for each in ran] == ["train", "train", "eval"]
    assert ran[0][1 : 1 + len(RECIPE)] == tuple(RECIPE)
    assert ran[1][1:] == (f"resume={tmp_path / 'again' / 'run'}",)
    assert f"photos={pictures / 'val_photos'}" in ran[2]
    card(pictures, path, kid={"value": 0.4, "tolerance": 0.01})
    with pytest.raises(SystemExit, match="1"):
        reproduce.run(composed(f"card={path}", *words, config="reproduce"))


def test_other_pictures_are_told_by_name_and_content(tmp_path: Path, pictures: Path) -> None:
    read = read_card(card(pictures, tmp_path / "card.yaml", kid={"value": 0, "tolerance": 1}))
    assert differences(read, pictures) == []
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(pictures / "photos" / "0.png")
    assert differences(read, pictures) == ["photos: 16 files, the card's 16 of other names or contents"]
    (pictures / "photos" / "0.png").unlink()
    assert differences(read, pictures) == ["photos: 15 files, the card's 16"]


def test_a_score_on_the_border_holds_and_a_missing_one_does_not(tmp_path: Path, pictures: Path) -> None:
    read = read_card(
        card(
            pictures,
            tmp_path / "card.yaml",
            a={"value": 1.0, "tolerance": 0.25},
            b={"value": 1, "tolerance": 9},
        )
    )
    assert [each.holds for each in compare(read, {"a": {"value": 0.75}})] == [True, False]
    assert [each.holds for each in compare(read, {"a": {"value": 1.26}, "b": {"value": -8}})] == [False, True]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("card=nobody", "card=nobody: no such card"),
        ("card=broken.yaml", "card=broken.yaml: not a card"),
        ("pictures=nowhere", "photos is missing; a recipe wants photos, cartoons, val_photos, val_cartoons"),
        ("pictures=fewer", "photos: 15 files, the card's 16); other_pictures=true"),
    ],
)
def test_mistakes_are_one_line(
    composed: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    pictures: Path,
    change: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"card": str(card(pictures, tmp_path / "card.yaml", kid={"value": 0, "tolerance": 1}))}
    given |= {"pictures": str(pictures)} | dict([change.split("=")])
    Path("broken.yaml").write_text("name: x\n")
    if "fewer" in change:
        (pictures / "photos" / "0.png").unlink()
        pictures.rename("fewer")
    with pytest.raises(UsageError) as told:
        reproduce.run(composed(*(f"{key}={value}" for key, value in given.items()), config="reproduce"))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def reproduced(
    composed: Callable[..., DictConfig], path: Path, pictures: Path, output: Path, *more: str
) -> None:
    words = (f"card={path}", f"pictures={pictures}", f"output={output}", *more)
    reproduce.run(composed(*words, config="reproduce"))


def test_a_folder_goes_on_with_what_was_begun_there_alone(
    composed: Callable[..., DictConfig], tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def command(script: str, *arguments: str) -> None:
        ran.append(script)
        if script == "eval":
            report = tmp_path / "again" / "scores" / "report.json"
            report.parent.mkdir(parents=True)
            report.write_text(json.dumps({"scores": {"kid_effnetlite0": {"value": 0.1}}}))

    monkeypatch.setattr(reproduce, "_command", command)
    path = card(pictures, tmp_path / "card.yaml", kid_effnetlite0={"value": 0.1, "tolerance": 0.01})
    again = tmp_path / "again"
    reproduced(composed, path, pictures, again)
    reproduced(composed, path, pictures, again)  # goes on: nothing is left to do
    assert ran == ["train", "eval"]
    with pytest.raises(UsageError, match="was begun with other overrides"):
        reproduced(composed, path, pictures, again, "overrides=['trainer=gpu']")
    said = yaml.safe_load(path.read_text())
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(said | {"recipe": ["experiment=cartoongan_peppercarrot"]}))
    with pytest.raises(UsageError, match="was begun with other recipe"):
        reproduced(composed, other, pictures, again)
    (pictures / "photos" / "0.png").unlink()
    with pytest.raises(UsageError, match="was begun with other pictures"):
        reproduced(composed, path, pictures, again, "other_pictures=true")
    with pytest.raises(UsageError, match="holds something that is no reproduction"):
        reproduced(composed, path, pictures, pictures, "other_pictures=true")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": {}}, "scores: none is named"),
        ({"scores": {"kid": {"value": 0.1, "tolerance": float("nan")}}}, "scores.kid: 0.1 ± nan"),
        ({"scores": {"kid": {"value": 0.1, "tolerance": -1}}}, "scores.kid: 0.1 ± -1"),
        ({"evaluation": ["resamplesx=0"]}, "evaluation=.*resamplesx"),
    ],
)
def test_a_bad_card_is_refused_before_the_training(
    composed: Callable[..., DictConfig], tmp_path: Path, pictures: Path, change: dict[str, Any], words: str
) -> None:
    path = card(pictures, tmp_path / "card.yaml", kid={"value": 0.1, "tolerance": 0.01})
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(UsageError, match=words) as error:
        reproduced(composed, path, pictures, tmp_path / "again")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "again").exists()


def test_a_card_that_is_no_yaml_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("name: [a\nrecipe: }\n")
    with pytest.raises(UsageError, match="not a card") as error:
        read_card(tmp_path / "card.yaml")
    assert "\n" not in str(error.value)
