"""Train, score, paint, from the command line, on real files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import SMALL, Cli, only_run
from toonlab.engine.checkpoint import read


def pictures(folder: Path, n: int, *, flat: bool) -> Path:
    """Write n smooth or blocky pictures of different formats and odd sizes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(int(flat))
    for i in range(n):
        small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        how = Image.Resampling.NEAREST if flat else Image.Resampling.BICUBIC
        picture = Image.fromarray(small).resize((70 + i, 51 + 2 * i), how)
        picture.save(folder / f"{i:02}{['.png', '.jpg', '.webp', '.bmp'][i % 4]}")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return pictures(tmp_path / "photos", 24, flat=False), pictures(tmp_path / "cartoons", 24, flat=True)


def test_train_then_eval_then_stylize(cli: Cli, tmp_path: Path, folders: tuple[Path, Path]) -> None:
    photos, _ = folders
    (photos / "broken.jpg").write_bytes((photos / "01.jpg").read_bytes()[:200])
    (photos / "empty.png").touch()
    small = [a for a in SMALL if not a.startswith("data=")]
    data = ["data=unpaired", "photos=photos", "cartoons=cartoons", "data.size=32", "data.val_fraction=0.4",
            "data.test_fraction=0.4", "data.workers=0"]  # fmt: skip
    result = cli("train", *small, *data, "eval_every=2", "iterations=2", "method.warmup_iterations=1")
    assert result.returncode == 0, result.stderr
    for name in ("broken.jpg", "empty.png"):
        assert result.stderr.count(name) == 1, result.stderr  # reported once

    run = only_run(tmp_path)
    expected = {"config.yaml", "metrics.jsonl", "samples", "checkpoints", "result.json", "run.log"}
    expected |= {".hydra", ".lock"}
    assert {path.name for path in run.iterdir()} == expected
    summary = json.loads((run / "result.json").read_text())
    assert summary["status"] == "finished"
    assert summary["iterations"] == 2
    assert summary["seed"] == 0
    assert summary["images_per_second"] > 0
    assert "torch" in summary["versions"]
    assert read(run)["toonlab"]["config"]["data"]["photos"] == str(photos)

    # Scoring the validation part again gives what training wrote down.
    result = cli("eval", f"ckpt={run}", "split=val", f"output={tmp_path / 'report'}")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    for name, score in report["scores"].items():
        assert score["value"] == pytest.approx(summary["validation"][f"val/{name}"], rel=1e-3, abs=1e-3), name
    assert "kid_effnetlite0" in result.stderr
    assert "224" in result.stderr  # the resize rule
    assert (tmp_path / "report" / "before_after.png").exists()
    again = cli("eval", f"ckpt={run}", f"output={tmp_path / 'report'}")
    assert again.returncode == 2
    assert "holds a report already" in again.stderr

    result = cli("stylize", f"ckpt={run}", "input=photos", "output=painted", "sheet=pairs.png")
    assert result.returncode == 1, result.stderr  # two files cannot be read
    assert (tmp_path / "pairs.png").exists()
    assert "broken.jpg" in result.stderr
    assert "empty.png" in result.stderr
    assert len(list((tmp_path / "painted").iterdir())) == 24
    again = cli("stylize", f"ckpt={run}", "input=photos", "output=more", "sheet=pairs.png")
    assert again.returncode == 2
    assert "pairs.png is there already" in again.stderr
    with Image.open(tmp_path / "painted" / "07.bmp") as painted:
        assert painted.size == (77, 65)


def test_named_folders_are_scored_whole(cli: Cli, tmp_path: Path, folders: tuple[Path, Path]) -> None:
    assert cli("train", *SMALL, "iterations=1").returncode == 0
    data = ["data=unpaired", "photos=photos", "cartoons=cartoons", "data.size=32", "data.workers=0"]
    result = cli("eval", f"ckpt={only_run(tmp_path)}", *data, f"output={tmp_path / 'report'}")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["protocol"]["images"] == {"n": 12, "sources": 24, "targets": 24}
    assert report["about"]["part"] == "all"


def test_one_module_and_one_yaml_add_a_method(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mymethod.py").write_text(
        '''
"""The least a method can be: pull the picture's brightness to the cartoons'."""
from torch import nn
from toonlab.engine.method import ToonMethod


class Brightness(ToonMethod):
    def __init__(self, *, discriminator, **common):
        super().__init__(**common)
        self.discriminator = discriminator

    def discriminators(self):
        return [self.discriminator]

    def render(self, batch):
        return {"cartoon": self.generator(batch["photo"])}

    def generator_terms(self, batch, views):
        return {"brightness": lambda: (views["cartoon"].mean() - batch["cartoon"].mean()).square()}

    def discriminator_terms(self, batch, views):
        return {"real": lambda: (self.discriminator(batch["cartoon"]) - 1).square().mean()}
'''
    )
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "mymethod.yaml").write_text(
        """
defaults: ["/method_base@_here_", _self_]
_target_: mymethod.Brightness
generator: {_target_: toonlab.networks.unet.UNet, width: 4}
discriminator: {_target_: toonlab.networks.discriminators.EdgeDiscriminator, width: 4}
weights: {brightness: 1.0}
discriminator_weights: {real: 1.0}
"""
    )
    result = cli(
        "train",
        f"hydra.searchpath=[file://{tmp_path}/conf]",
        "method=mymethod",
        "data=synthetic",
        "iterations=2",
        PYTHONPATH=str(tmp_path),
    )
    assert result.returncode == 0, result.stderr
    run = only_run(tmp_path, "mymethod")
    assert "generator/brightness" in (run / "metrics.jsonl").read_text()
    result = cli("train", f"resume={run}", "iterations=3", PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stderr
    # Painting needs the generator alone, not the newcomer's module.
    Image.new("RGB", (33, 17), "teal").save(tmp_path / "a.png")
    result = cli("stylize", f"ckpt={run}", "input=a.png", "output=b.png")
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "b.png").size == (33, 17)


@pytest.mark.slow
def test_two_jobs_of_a_multirun_have_a_folder_each(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", *SMALL, "iterations=1", "seed=1,2", "-m")
    assert result.returncode == 0, result.stderr
    seeds = [json.loads(path.read_text())["seed"] for path in (tmp_path / "outputs").rglob("result.json")]
    assert sorted(seeds) == [1, 2]


@pytest.mark.slow
def test_a_failing_job_of_a_multirun_stops_no_other(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", *SMALL, "iterations=0,1", "-m")
    assert result.returncode == 2
    assert len(list((tmp_path / "outputs").rglob("result.json"))) == 1


def test_too_few_images_to_score_are_said_before_training_and_cost_nothing(
    cli: Cli, tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    small = [a for a in SMALL if not a.startswith("data=")]
    data = ["data=unpaired", "photos=photos", "cartoons=cartoons", "data.size=32", "data.workers=0"]
    result = cli("train", *small, *data, "iterations=2", "eval_every=1")
    assert result.returncode == 0, result.stderr
    assert (
        result.stderr.count("scoring needs at least 4 images to paint and 8 of the target domain, found") == 1
    ), result.stderr
    run = only_run(tmp_path)
    summary = json.loads((run / "result.json").read_text(), parse_constant=pytest.fail)  # no Infinity
    assert summary["best"]["iteration"] == 0
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert len(list((run / "samples").iterdir())) == 3
