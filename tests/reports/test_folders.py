"""Every run of a sweep is found, whatever became of it."""

import json
from pathlib import Path

import pytest

from reported import run_folder
from toonlab.errors import UsageError
from toonlab.reports.folders import runs_of


def test_states_and_reasons_without_a_manifest(tmp_path: Path) -> None:
    run_folder(tmp_path, "10_whitebox")
    run_folder(tmp_path, "2_whitebox", status="interrupted")
    killed = run_folder(tmp_path, "3_whitebox", status=None)
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 65, "generat')  # a kill in the middle of a line
    diverged = run_folder(tmp_path, "4_whitebox", status="failed")
    with (diverged / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 65, "generator/total": NaN}\n')
    complaining = run_folder(tmp_path, "5_whitebox", status="failed")
    (complaining / "run.log").write_text("a line\n2026 ERROR error: photos=x: no such folder\n")
    unborn = tmp_path / "6_whitebox" / ".hydra"
    unborn.mkdir(parents=True)
    (unborn / "overrides.yaml").write_text("[]")
    (tmp_path / "notes").mkdir()
    runs = runs_of([tmp_path])
    assert [run.name for run in runs] == [f"{i}_whitebox" for i in (2, 3, 4, 5, 6, 10)]
    assert [run.state for run in runs] == [
        "interrupted", "unfinished", "failed", "failed", "failed", "finished",
    ]  # fmt: skip
    assert runs[2].reason == "generator/total is nan at iteration 65: training diverged"
    assert runs[3].reason == "photos=x: no such folder"
    assert runs[1].iterations == 60
    assert runs[5].reason == ""


def test_a_manifest_has_the_last_word(tmp_path: Path) -> None:
    run_folder(tmp_path, "0_whitebox", "method.weights.tv=1")
    run_folder(tmp_path, "1_whitebox", status=None)
    told = [(2, "pending", None), (1, "failed", "killed"), (0, "finished", None)]
    jobs = [
        {"id": f"id{i}", "number": i, "overrides": [f"seed={i}"], "folder": f"{i}_whitebox", "state": state}
        | {"reason": reason}
        for i, state, reason in told
    ]
    (tmp_path / "sweep.json").write_text(json.dumps({"format": 1, "jobs": jobs}))
    runs = runs_of([tmp_path])
    assert [(run.name, run.state, run.reason) for run in runs] == [
        ("0_whitebox", "finished", ""),
        ("1_whitebox", "failed", "killed"),
        ("2_whitebox", "pending", ""),
    ]
    assert [run.overrides for run in runs] == [("seed=0",), ("seed=1",), ("seed=2",)]
    assert runs[2].lines == ()


def test_several_folders_and_equal_names(tmp_path: Path) -> None:
    for sweep in ("one", "two"):
        run_folder(tmp_path / sweep, "0_whitebox", status="interrupted")
    runs = runs_of([tmp_path / "one", tmp_path / "two" / "0_whitebox", tmp_path / "one"])
    assert [run.name for run in runs] == ["one/0_whitebox", "two/0_whitebox"]
    assert {run.state for run in runs} == {"interrupted"}


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"runs=.*nowhere: no such folder, so no finished run there"):
        runs_of([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"runs=.*: no finished run there"):
        runs_of([tmp_path])
    for content in ("{", '{"jobs": [{"number": 1}]}', "[]"):
        (tmp_path / "sweep.json").write_text(content)
        with pytest.raises(UsageError, match=r"sweep\.json: cannot be read .* move it away"):
            runs_of([tmp_path])
