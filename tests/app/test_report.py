"""From trained runs to the page: what is scored, what is not scored again, what is refused."""

import csv
import json
import logging
import re
import shutil
import sys
from pathlib import Path

import pytest

from commands import Cli
from reported import run_folder
from shipped import SMALL, shrink
from toonlab.app import evaluate, report, train
from toonlab.app.memory import peak_mib
from toonlab.app.reporting.arguments import with_folders
from toonlab.app.reporting.scores import find_or_score
from toonlab.errors import UsageError
from toonlab.reports.record import read_run

TINY = ["data=synthetic", "data.count=10", "eval_every=2", "log_every=1", "iterations=2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the trained runs of this file, each trained once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def sweep(composed, tmp_path: Path, runs: Path) -> Path:
    """Two trained and scored runs, one killed before its first checkpoint, one that never began."""
    for number, method in enumerate(("whitebox", "cartoongan")):
        kept = runs / f"{number}_{method}"
        if not kept.exists():
            cfg = composed(f"method={method}", *TINY)
            shrink(cfg.method, SMALL)
            train.run(cfg)
            kept.mkdir()
            for name in ("config.yaml", "metrics.jsonl", "checkpoints", "result.json"):
                shutil.move(tmp_path / name, kept / name)
            (kept / ".hydra").mkdir()
            (kept / ".hydra" / "overrides.yaml").write_text(f"[method={method}]")
            find_or_score(composed("runs=x", "device=cpu", config="report"), read_run(kept))
        shutil.copytree(kept, tmp_path / "sweep" / kept.name)
    run_folder(tmp_path / "sweep", "2_whitebox", "method=whitebox", status=None)
    jobs = [
        {"number": i, "folder": folder, "state": state, "overrides": [f"method={method}"], "reason": reason}
        for i, (folder, state, method, reason) in enumerate(
            [
                ("0_whitebox", "finished", "whitebox", None),
                ("1_cartoongan", "finished", "cartoongan", None),
                ("2_whitebox", "failed", "whitebox", "no space left"),
                ("3_whitebox", "pending", "whitebox", None),
            ]
        )
    ]
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"format": 1, "jobs": jobs}))
    return tmp_path / "sweep"


def test_the_report_of_a_sweep(composed, sweep: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    report.run(composed(f"runs={sweep}", "device=cpu", "photos=2", config="report"))
    assert not [record for record in caplog.records if record.message.startswith("scoring ")]
    text = (sweep / "report.html").read_text()
    assert text.count("data:image/jpeg") == (1 + 2) * 2
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    assert re.search(r"4 runs: 2 finished, 1 failed, 1 pending ?; 2 scored", words)
    assert "no space left" in words
    with (sweep / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed", "pending"]
    assert [row["method"] for row in rows] == ["whitebox", "cartoongan", "whitebox", "whitebox"]
    scored = json.loads((sweep / "0_whitebox/eval/ladder_best_0000002/report.json").read_text())
    for name in ("kid_effnetlite0", "fd_effnetlite0", "content_effnetlite0", "edge_f1"):
        low, high = scored["intervals"][name]
        assert float(rows[0][name]) == scored["scores"][name]["value"]
        assert [float(rows[0][f"{name}_{end}"]) for end in ("low", "high")] == [low, high]
        assert low <= scored["scores"][name]["value"] <= high
    assert float(rows[0]["process_mib"]) > 100
    assert (sweep / "ladder.md").exists()


def test_scores_of_eval_count_if_they_are_the_same(composed, sweep: Path, monkeypatch) -> None:
    run = sweep / "0_whitebox"
    shutil.rmtree(run / "eval")
    best = run / "checkpoints" / "best.ckpt"
    evaluate.run(composed(f"ckpt={best}", "device=cpu", f"output={run}/eval/mine", config="eval"))

    def refuse(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr("toonlab.app.reporting.scores.score", refuse)
    report.run(composed(f"runs=[{run}]", "device=cpu", config="report"))
    assert "KID" in (run / "report.md").read_text()
    mine = json.loads((run / "eval" / "mine" / "report.json").read_text())
    for key, value in (
        ("part", "val"),
        ("iteration", 1),
        ("weights", "last"),
        ("checkpoint", "elsewhere.ckpt"),
    ):
        changed = mine | {"about": mine["about"] | {key: value}}
        (run / "eval" / "mine" / "report.json").write_text(json.dumps(changed))
        with pytest.raises(AssertionError, match="scored again"):
            report.run(composed(f"runs={run}", "device=cpu", config="report"))


def test_reports_without_intervals_are_kept_and_said_to_be_such(composed, sweep: Path) -> None:
    for path in sweep.glob("*/eval/*/report.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"intervals": {}}))
    report.run(composed(f"runs={sweep}", "device=cpu", config="report"))
    assert "2 of the runs were scored before intervals were kept" in (sweep / "report.md").read_text()


def test_a_damaged_checkpoint_costs_nobody_else_the_report(composed, sweep: Path) -> None:
    for name in ("best", "last"):
        (sweep / "0_whitebox" / "checkpoints" / f"{name}.ckpt").write_bytes(b"torn")
    report.run(composed(f"runs={sweep}", "device=cpu", config="report"))
    text = (sweep / "report.md").read_text()
    assert re.search(r"- 0_whitebox: ckpt=.*best\.ckpt: cannot be read .* is it damaged\?", text)
    assert "| 1_cartoongan | finished | cartoongan | " in text


def test_a_report_of_another_command_is_not_written_over(composed, sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.md").write_text("of prepare check")
    with pytest.raises(UsageError, match=r"output=.*out: holds a report\.md that is not this command's"):
        report.run(composed(f"runs={sweep}", f"output={tmp_path / 'out'}", config="report"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["a/b", "c d"], ['runs=["a/b","c d"]']),
        (["a", "output=x", "--cfg", "job"], ['runs=["a"]', "output=x", "--cfg", "job"]),
        (["runs=a", "rescore=true"], ["runs=a", "rescore=true"]),
        (["--help"], ["--help"]),
        (["~/sweep", "~key"], ['runs=["~/sweep"]', "~key"]),
        (['it"s'], ['runs=["it\\"s"]']),
    ],
)
def test_folders_may_stand_by_themselves(typed: list[str], meant: list[str]) -> None:
    assert with_folders(["report.py", *typed]) == ["report.py", *meant]


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "lr=1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert with_folders(["report.py", "lr=1"]) == ["report.py", 'runs=["lr=1"]']
    with pytest.raises(UsageError, match="a and runs=b: give the folders by themselves, or all in runs="):
        with_folders(["report.py", "a", "runs=b"])


def test_the_command_and_its_wandb_run(cli: Cli, tmp_path: Path) -> None:
    """A run without a checkpoint: nothing to score, so the command and its mirror alone take time."""
    run_folder(tmp_path / "my sweep", "0_whitebox", "seed=1", status="interrupted")
    result = cli("report", "my sweep", "logger=wandb", "output=out")
    assert result.returncode == 0, result.stderr
    assert "interrupted" in (tmp_path / "out" / "report.html").read_text()
    (run,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (record,) = run.glob("*.wandb")
    content = record.read_bytes()
    assert b"my sweep" in content  # the group
    assert b"report" in content
    (table,) = (run / "files" / "media" / "table").glob("runs_*.json")
    assert json.loads(table.read_text())["data"][0][:3] == ["0_whitebox", "interrupted", 60]
    assert list((run / "files" / "media" / "html").glob("report_*.html"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_what_the_kernel_says() -> None:
    told = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert told is not None
    assert peak_mib()["process"] == pytest.approx(int(told[1]) / 1024, rel=0.02)
