"""A search among real trainings, as one command; and the mistakes that are told before it begins."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import yaml

from commands import SMALL, Cli
from hydra_plugins.toonlab_search.sweeper import _check_scored
from toonlab.errors import UsageError

FAKE = {"TOONLAB_FAKE_DEVICES": "a,b"}
SEARCH = (
    "method=whitebox",
    "+search=loss_weights",
    *SMALL,
    "data.count=8",
    "method.weights.content=10",
    "iterations=1",
    "hydra.launcher.report=false",
    "hydra.sweeper.n_trials=2",
    "-m",
)


@pytest.mark.slow
def test_a_search_is_one_command_and_goes_on_with_another(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", *SEARCH, **FAKE)
    assert result.returncode == 0, result.stderr
    (folder,) = (tmp_path / "outputs" / "multirun").iterdir()
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["finished"] * 2
    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")
    keys = {"method.weights.surface", "method.weights.texture", "method.weights.structure"}
    for trial, job in zip(study.trials, jobs, strict=True):
        assert trial.params.keys() == keys  # what was typed is no longer searched for
        run = folder / job["folder"]
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["method"]["weights"]["texture"] == trial.params["method.weights.texture"]
        assert config["method"]["weights"]["content"] == 10
        assert trial.value == json.loads((run / "result.json").read_text())["best"]["val/kid_effnetlite0"]
    assert "Best of 2 trials (2 finished): #" in result.stderr
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert best["value"] == study.best_value
    assert not any(word.startswith("+search") for word in best["overrides"])
    again = cli("train", "-m", f"resume={folder}", **FAKE)  # nothing left to do
    assert again.returncode == 0, again.stderr
    assert len(json.loads((folder / "sweep.json").read_text())["jobs"]) == 2


def test_a_key_that_is_none_is_told_before_anything_begins(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", "hydra/sweeper=optuna", "method.weights.txture=interval(0,1)", "-m", **FAKE)
    assert result.returncode == 2
    assert "method.weights.txture: no such key" in result.stderr
    assert "did you mean 'texture'" in result.stderr
    assert not (tmp_path / "outputs" / "multirun").exists()


def test_runs_that_nobody_could_score_are_no_success() -> None:
    why = "no val/kid in its metrics.jsonl: a failed trial"
    jobs = [SimpleNamespace(state="finished", reason=reason) for reason in ("", why)]
    _check_scored(SimpleNamespace(manifest=SimpleNamespace(jobs=jobs[:1])))
    with pytest.raises(UsageError, match=r"1 of 2 runs finished without a score to compare \(no val/kid"):
        _check_scored(SimpleNamespace(manifest=SimpleNamespace(jobs=jobs)))
