"""`prepare.py check` as a user runs it, and the training that follows its advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from commands import Cli
from marked import planted, scene
from toonlab.app.cli import CONF
from toonlab.app.prepare.check import KEYS, run
from toonlab.errors import UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("photos", "cartoons", "val"):
        (tmp_path / name).mkdir()
    for i in range(40):
        Image.fromarray(scene(i)).save(tmp_path / "photos" / f"{i:02}.png")
        Image.fromarray(planted(scene(i, flat=True), i)).save(tmp_path / "cartoons" / f"{i:02}.png")
    Image.fromarray(scene(99)).save(tmp_path / "val" / "new.png")
    return tmp_path


def config(data: Path, **changes: object) -> DictConfig:
    """The task's settings, as Hydra composes them, with folders below `data`."""
    settings = yaml.safe_load((CONF / "prepare_check.yaml").read_text()) | {
        "output": "report",
        "min_side": 64,
    }
    settings |= changes
    folders = {key: str(data / str(settings[key])) for key in (*KEYS, "output") if settings[key]}
    return OmegaConf.create(settings | folders)


def test_check_finds_the_emoji_and_training_without_it_resumes_without_its_file(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.png")}
    (data / "photos" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    folders = ("photos=photos", "cartoons=cartoons")
    result = cli("prepare", "check", *folders, "val_photos=val", "output=report", "min_side=64")
    assert result.returncode == 1, result.stderr
    assert "it alone tells the domains apart" in result.stderr
    assert f"data.ignore={data / 'report' / 'ignore.yaml'}" in result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}  # nothing is touched
    report = json.loads((data / "report" / "report.json").read_text())
    assert [mark["domain"] for mark in report["marks"]] == ["cartoons"]
    assert {v["title"]: v["level"] for v in report["verdicts"]}["broken files"] == "look"
    assert Image.open(data / "report" / "heat.png").size[0] > 700
    assert (data / "report" / "page.png").is_file()
    assert "broken.jpg" in (data / "report" / "report.md").read_text()

    # Nothing is read twice, and without the mark there is nothing to mend.
    lines = (data / "report" / "files.csv").read_text()
    monkeypatch.setattr(
        "toonlab.app.prepare.check.examine", lambda path: pytest.fail(f"{path} is read again")
    )
    run(config(data, photos="photos", cartoons="cartoons", val_photos="val", shortcuts=False))
    assert (data / "report" / "files.csv").read_text() == lines
    assert not (data / "report" / "ignore.yaml").exists()

    kept = data / "ignore.yaml"
    kept.write_text(yaml.safe_dump(report["ignore"]))
    words = (
        "hydra.run.dir=run",
        "data=unpaired",
        *folders,
        f"data.ignore={kept}",
        "data.size=32",
        "data.workers=0",
    )
    small = (
        "data.batch_size=1",
        "method=cartoongan",
        "method.generator.width=4",
        "method.generator.blocks=1",
    )
    result = cli("train", *words, *small, "iterations=1", "eval_every=1", "save_every=1")
    assert result.returncode == 0, result.stderr
    saved = yaml.safe_load((data / "run" / "config.yaml").read_text())["data"]["ignore"]
    assert saved == report["ignore"]
    kept.unlink()
    result = cli("train", "resume=run", "iterations=2")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "check needs a folder"),
        ({"photos": "nowhere"}, "does not exist"),
        ({"photos": "photos", "images": 3}, "images=3"),
        ({"photos": "photos", "output": "photos"}, "hold each other"),
        ({"photos": "photos", "workers": 0}, "workers=0"),
    ],
)
def test_wrong_words_are_one_line(data: Path, settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        run(config(data, **settings))
    assert "\n" not in str(caught.value)
