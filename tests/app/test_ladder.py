"""Pairs, directions, and source 004's table: from command line to page."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from shipped import SMALL, shrink
from toonlab.app import checks, report, train
from toonlab.app.cli import with_forced_keys
from toonlab.app.ladder import Row, score_table, vote_table
from toonlab.app.reporting.votes import read_votes
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError

TINY = ["data=synthetic", "data.count=10", "eval_every=2", "log_every=1", "iterations=2"]


def trained(composed, tmp_path: Path, method: str, *overrides: str) -> Path:
    """Train narrow networks for two iterations; return the run's folder."""
    cfg = composed(f"method={method}", *TINY, *overrides)
    shrink(cfg.method, SMALL)
    for old in ("config.yaml", "metrics.jsonl", "checkpoints"):
        target = tmp_path / old
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    train.run(cfg)
    run = tmp_path / "sweep" / f"{len(list((tmp_path / 'sweep').glob('*')))}_{method}"
    run.mkdir(parents=True)
    for name in ("config.yaml", "metrics.jsonl", "checkpoints"):
        shutil.move(tmp_path / name, run / name)
    return run


def test_a_layout_for_pairs_is_not_passed_over_by_other_data(composed) -> None:
    with pytest.raises(UsageError, match="layout=concat is not used by this data set; add data=paired"):
        train.run(composed("method=cyclegan", *TINY, "layout=concat"))


@pytest.mark.parametrize("method", ["gan_v2", "cyclegan_v2", "cyclegan_v3", "cyclegan_v6"])
def test_a_method_that_needs_pairs_says_so_before_training(composed, tmp_path: Path, method: str) -> None:
    cfg = composed(f"method={method}", *TINY)
    shrink(cfg.method, SMALL)
    with pytest.raises(
        UsageError, match=rf"method={method} learns from .*data=paired photos=DIR cartoons=DIR"
    ):
        train.run(cfg)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_supervised_method_with_its_paired_terms_off_takes_any_data(composed, tmp_path: Path) -> None:
    off = ["method.weights.paired=0", "method.weights.score_match=0", "method.weights.adversarial=1"]
    trained(composed, tmp_path, "cyclegan_v3", *off)


def test_the_other_direction_paints_photos_and_a_checkpoint_holds_both(composed, tmp_path: Path) -> None:
    run = trained(composed, tmp_path, "cyclegan", "method.direction=to_photo")
    there, back = load_generator(run), load_generator(run, reverse=True)
    assert (there.painting["direction"], back.painting["direction"]) == ("to_photo", "to_cartoon")
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for key, value in back.generator.state_dict().items():
        assert torch.equal(value, state[f"inverse_generator.{key}"])
    one_way = trained(composed, tmp_path, "gan_v1")
    with pytest.raises(UsageError, match=r"reverse=true: .* holds one generator"):
        load_generator(one_way, reverse=True)


def test_schedules_are_in_the_record(composed, tmp_path: Path) -> None:
    run = trained(composed, tmp_path, "cyclegan_v4", "data.paired=true")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    seen = [line for line in lines if "generator/total" in line]
    assert [line["weight/paired"] for line in seen] == pytest.approx([0.999, 0.9495])
    assert [line["weight/score_match"] for line in seen] == pytest.approx([0.001, 0.0505])
    assert [line["weight/cycle_feature"] for line in seen] == pytest.approx([0, 9])
    assert [line["weight/cycle_pixel"] for line in seen] == pytest.approx([10, 1])
    assert "weight/identity" not in seen[0]  # a number, not a schedule
    assert [line["lr/generator"] for line in seen] == pytest.approx([2e-4, 2e-4])


def test_one_command_scores_a_sweep_and_prints_the_reports_table(composed, tmp_path: Path, caplog) -> None:
    for method in ("cyclegan_v3", "gan_v1"):
        trained(composed, tmp_path, method, "data.paired=true")
    sweep = tmp_path / "sweep"
    (sweep / "9_unborn").mkdir()
    (sweep / "9_unborn" / "config.yaml").write_text("{}")
    picks = ["a,gan_v1", "a,gan_v1", "b,cyclegan_v3"]
    (sweep / "votes.csv").write_text("\n".join(["rater,model", *picks]) + "\n")
    cfg = composed(f"runs={sweep}", "device=cpu", config="report")
    report.run(cfg)
    page = (sweep / "ladder.md").read_text()
    lines = page.splitlines()
    assert lines[0].startswith("| Model name | MMD² ↓ (iteration) | 1-NN (iteration)")
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["Gan v1", "Cycle gan v3"]
    assert [line.split("|")[4].strip() for line in lines[2:4]] == ["no", "yes"]
    assert "| Gan v1 | 2 | 0 | 2 |" in lines
    assert "| Cycle gan v3 | 0 | 1 | 1 |" in lines
    assert "supervised" in page
    assert "9_unborn has no checkpoint yet" in caplog.text
    with (sweep / "ladder.csv").open() as file:
        rows = list(csv.DictReader(file))
    scored = sweep / "0_cyclegan_v3" / "eval" / "ladder_best_0000002" / "report.json"
    value = json.loads(scored.read_text())["scores"]["mmd2_biased_effnetlite0"]["value"]
    assert float(rows[1]["mmd2_biased_effnetlite0"]) == value
    assert f"{value:.5f} (2)" in lines[3]
    stamp = scored.stat().st_mtime_ns
    report.run(cfg)  # what is scored is not scored again
    assert scored.stat().st_mtime_ns == stamp
    (sweep / "votes.csv").write_text("rater,model\na,gan_v3\n")
    with pytest.raises(UsageError, match=r"votes\.csv, line 2: no run of method 'gan_v3'.*gan_v1"):
        report.run(cfg)


def test_runs_that_are_not_there(composed, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run there"):
        report.run(composed(f"runs={tmp_path}/nowhere", config="report"))
    with pytest.raises(UsageError, match=r"votes=.*: no such file"):
        read_votes(tmp_path / "votes.csv", [], asked=True)


def row(method: str, n: int = 5) -> Row:
    scores = {
        f"{name}_net": {"value": value, "source_as_is": 0.9, "real_vs_real": 0.1}
        for name, value in (("mmd", 0.5), ("mmd2_biased", 0.25), ("nn1", 0.75), ("nn1_real", 0.7))
    }
    about = {"images": {"n": n}, "kind": "to_photo", "features": {"extractor": "net"}}
    return Row(method, Path("run"), 7, scores, supervised=False, about=about)


def test_the_tables_by_hand() -> None:
    assert score_table([row("cyclegan")])[2:] == [
        "| Base cycle gan | 0.25000 (7) | 0.75000 (7) | no |",
        "| *nothing done* | 0.90000 | 0.90000 | |",
        "| *real against real* | 0.10000 | 0.10000 | |",
    ]
    assert vote_table({}, [row("cyclegan")]) == []
    ballots = {"r2": Counter(whitebox=1), "r1": Counter(whitebox=2, cyclegan=3)}
    assert vote_table(ballots, [row("cyclegan"), row("whitebox")])[1:] == [
        "| model | r1 | r2 | Final votes |",
        "|---|---|---|---|",
        "| Base cycle gan | 3 | 0 | 3 |",
        "| whitebox | 2 | 1 | 3 |",
    ]


def test_a_checkpoint_that_validation_did_not_choose_says_so() -> None:
    from toonlab.app.ladder import notes

    rows = [row("cyclegan"), row("gan_v1")._replace(is_best=False)]
    assert "(7, last)" in score_table(rows)[3]
    assert "last" not in score_table(rows)[2]
    assert "validation's best (of 1 never validated, the last)" in notes(rows)[0]
    assert "never validated" not in notes(rows[:1])[0]


def test_scores_of_different_sets_are_not_to_be_compared() -> None:
    from toonlab.app.ladder import notes

    assert "do not compare them" not in " ".join(notes([row("a"), row("b")]))
    assert "NOT scored on the same sets" in " ".join(notes([row("a"), row("b", n=6)]))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-m", "method=a,b", "method.x=1"], ["-m", "method=a,b", "++method.x=1"]),
        (
            ["-m", "method=glob(c*)", "method.x=1", "data.y=2"],
            ["-m", "method=glob(c*)", "++method.x=1", "data.y=2"],
        ),
        (["-m", "method=a", "method.x=1,2"], ["-m", "method=a", "method.x=1,2"]),
        (["method=a", "method.x=1"], ["method=a", "method.x=1"]),
    ],
)
def test_a_key_of_a_swept_group_reaches_every_job(typed: list[str], meant: list[str]) -> None:
    assert with_forced_keys(["train.py", *typed])[1:] == meant


def test_a_run_whose_learning_rate_has_fallen_to_nothing_is_not_prolonged(composed) -> None:
    cfg = composed("method=cyclegan", "iterations=10")
    cfg.method = OmegaConf.create(OmegaConf.to_container(cfg.method, resolve=True))
    checks.check_rate(cfg, 5)
    cfg.iterations = 20
    with pytest.raises(UsageError, match=r"iterations=20: method\.lr has fallen to 0 by iteration 10"):
        checks.check_rate(cfg, 10)
