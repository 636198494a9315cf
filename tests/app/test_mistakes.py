"""A mistake gets one line that names it and the nearest right name, before torch is imported."""

from pathlib import Path

import pytest

from commands import SMALL, Cli, only_run
from toonlab.app.explain import _unknown


@pytest.fixture
def no_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing torch fails."""
    blocked = tmp_path / "blocked" / "torch"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise SystemExit('torch was imported')")
    return {"PYTHONPATH": str(blocked.parent)}


def complaint(result) -> str:
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("script", ["train", "eval", "stylize"])
def test_help_lists_everything_without_torch(cli: Cli, no_torch, script: str) -> None:
    result = cli(script, "--help", **no_torch)
    assert result.returncode == 0, result.stderr
    if script == "train":
        for words in (
            "method: adapted_cartoongan, anime_scene, ",
            "trainer: cpu, ddp, gpu",
            "iterations: 2000",
        ):
            assert words in result.stdout
    assert f"python src/{script}.py" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["method=whitebx"], ["method=whitebx", "did you mean 'whitebox'?", "cartoongan"]),
        (["methd=whitebox"], ["methd", "did you mean 'method'?"]),
        (["iteratons=5"], ["iteratons", "did you mean 'iterations'?"]),
        (["method.weights.surfce=1"], ["method.weights.surfce", "did you mean", "surface'?"]),
        (["method=cartoongan", "method.weights.contnt=1"], ["method.weights.contnt", "content'?"]),
        (["experiment=dmo"], ["experiment=dmo", "did you mean 'demo'?"]),
        (["logger=records", "wandb.mode=offline"], ["wandb"]),
        (["nonsense"], ["nonsense", "key=value"]),
        (["resume=/nowhere"], ["resume=/nowhere", "no run there"]),
    ],
)
def test_misspelt_words_are_answered_without_torch(cli: Cli, no_torch, arguments, words) -> None:
    line = complaint(cli("train", *arguments, **no_torch))
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+method.weights.surfce=1"], ["method.weights.surfce", "did you mean 'surface'?"]),
        (["+method.generator.widht=8"], ["method.generator.widht", "did you mean 'width'?"]),
        (["+method.acumulate=8"], ["method.acumulate", "did you mean 'accumulate'?"]),
        (["data=unpaired"], ["photos=DIR"]),
        (["experiment=whitebox_peppercarrot_cpu"], ["pictures=… is required"]),
        (["data=unpaired", "photos=/nowhere", "cartoons=/nowhere"], ["photos", "/nowhere"]),
        (["photos=."], ["photos", "data=unpaired"]),
        (["iterations=0"], ["iterations=0"]),
        (["trainer=gpu"], ["trainer.accelerator=gpu", "trainer=cpu"]),
        (["method.weights.content=abc"], ["method", "'abc'", "number"]),
        (["iterations=abc"], ["iterations=abc", "whole number"]),
        (["features.taps=[blok4]"], ["blok4", "did you mean 'block4'?"]),
        (["callbacks.checkpoints.monitor=val/kidd"], ["val/kidd"]),
    ],
)
def test_wrong_values_are_named(cli: Cli, arguments, words) -> None:
    small = [a for a in SMALL if not (a.startswith("data=") and any("data=" in b for b in arguments))]
    result = cli("train", *small, "eval_every=1", *arguments)
    assert result.returncode == 2, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]


def test_an_earlier_run_is_never_overwritten(cli: Cli, tmp_path: Path) -> None:
    arguments = [*SMALL, "iterations=1"]
    assert cli("train", *arguments).returncode == 0
    run = only_run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "run.log"}
    result = cli("train", *arguments, f"hydra.run.dir={run}", "hydra.output_subdir=null")
    assert result.returncode == 2
    assert "holds a run already" in result.stderr
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "run.log"}


def test_missing_vgg_weights_name_the_file_and_the_way_out(cli: Cli, tmp_path: Path) -> None:
    result = cli(
        "train", *SMALL, "features=vgg19", TORCH_HOME=str(tmp_path), https_proxy="http://127.0.0.1:9"
    )
    assert result.returncode == 2, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "vgg19" in line
    assert "features=efficientnet_lite0" in line


def test_a_key_of_a_group_without_a_choice_asks_for_the_choice() -> None:
    said = _unknown("data.workers", "", "eval")
    assert said == "data.workers: no data is chosen; name it as well, data=… (see --help)"
