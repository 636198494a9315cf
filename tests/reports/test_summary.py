"""What is compared with what, and what is said when it should not be."""

import csv
import io
from pathlib import Path

from reported import run_folder, scored, summary_of, sweep_of
from toonlab.reports.cost import duration, mebibytes
from toonlab.reports.record import read_run
from toonlab.reports.scores import cells, data_of, metrics_of
from toonlab.reports.summary import Summary
from toonlab.reports.tables import markdown, spreadsheet


def test_columns_in_their_order_without_the_spread_of_kid() -> None:
    assert [(m.name, m.title, m.arrow) for m in metrics_of([scored(0.1)])] == [
        ("kid_net", "KID", "↓"),
        ("edge_f1", "Edge F1", "↑"),
    ]


def test_ranks_are_among_runs_of_the_same_sets() -> None:
    found = [scored(0.1), scored(0.5), scored(0.05, sets="two"), scored(0.9, sets="two"), None]
    kid = metrics_of([scored(0.1)])[0]
    assert [str(cell.rank) if cell else None for cell in cells(found, kid)] == [
        "1 of 2",
        "2 of 2",
        "1 of 2",
        "2 of 2",
        None,
    ]


def test_the_sets_are_those_of_the_held_out_images() -> None:
    data = {"_target_": "toonlab.data.modules.UnpairedData", "photos": "a", "seed": 1, "batch_size": 2}
    assert data_of(data) == data_of(data | {"seed": 2, "batch_size": 9})
    assert data_of(data) != data_of(data | {"photos": "b"})
    computed = {"_target_": "toonlab.data.modules.SyntheticData", "seed": 1}
    assert data_of(computed) != data_of(computed | {"seed": 2})


def test_warnings(tmp_path: Path) -> None:
    runs = sweep_of(tmp_path, [0.1, 0.2])
    assert summary_of(runs, [0.1, 0.5]).warnings == []
    mixed = Summary("s", runs, [scored(0.1), scored(0.2, sets="two", half=None, n=8)], ["", ""])
    said = " ".join(mixed.warnings)
    for words in (
        "not all scored on the same images",
        "1 of the runs were scored before intervals",
        "Only 8 images",
    ):
        assert words in said
    assert [title for title, _ in mixed.baselines] == [
        "photos as they are, sets 1",
        "cartoons against cartoons, sets 1",
        "photos as they are, sets 2",
        "cartoons against cartoons, sets 2",
    ]


def test_more_differences_than_columns(tmp_path: Path) -> None:
    many = [f"k{i}={i}" for i in range(12)]
    runs = [
        read_run(run_folder(tmp_path, "0", "seed=1", *many)),
        read_run(run_folder(tmp_path, "1", "seed=2")),
    ]
    summary = summary_of(runs, [0.1, 0.5])
    assert list(summary.told) == ["seed", *(f"k{i}" for i in range(7))]
    assert summary.warnings == ["The runs also differ in k7, k8, k9, k10, k11: see report.csv."]
    assert ",k11," in spreadsheet(summary).splitlines()[0]
    assert "k11 |" not in markdown(summary)


def test_importance_says_when_it_cannot_say(tmp_path: Path) -> None:
    runs = sweep_of(tmp_path, [1, 2, 3, 4])
    assert "1 scored run: too few" in summary_of(runs, [0.1, None, None, None]).about_importance
    assert summary_of(runs, [0.1, None, None, None]).importance == []
    four = summary_of(runs, [0.1, 0.2, 0.3, 0.4])
    assert [metric.title for metric, _ in four.importance] == ["KID", "Edge F1"]
    assert "4 runs are few" in four.about_importance
    alone = summary_of(runs[:1], [0.1])
    assert alone.about_importance == "Nothing was swept: the runs have the same settings."


def test_the_tables(tmp_path: Path) -> None:
    runs = [*sweep_of(tmp_path, [0.1, 0.2]), read_run(run_folder(tmp_path, "2|x", status="failed"))]
    summary = summary_of(runs, [0.1, 0.5, None])
    lines = markdown(summary).splitlines()
    assert "| run | state | method.weights.tv | KID ↓ | Edge F1 ↑ |" in lines
    row = "| 0_whitebox | finished | 0.1 | 0.1 [0.05, 0.15] (rank 1 of 2) | 0.9 [0.85, 0.95] (rank 1 of 2) |"
    assert row in lines
    assert "| 2\\|x | failed | - |  |  |" in lines
    assert "| *photos as they are* |  |  | 0.4 | 0.4 |" in lines
    assert "- 2|x: failed at iteration 60. " in lines
    assert "- 2|x: has no checkpoint yet" in lines
    assert "| 0_whitebox | 60 | 4 min 37 s | 9.25 | 1.5 GiB |  | 1,467,075 | cpu, 2 threads |" in lines
    rows = list(csv.DictReader(io.StringIO(spreadsheet(summary))))
    assert [row["kid_net"] for row in rows] == ["0.1", "0.5", ""]
    assert rows[1]["kid_net_low"] == "0.45"
    assert rows[0]["kid_net_rank"] == "1 of 2"
    assert rows[2]["reason"] == "has no checkpoint yet"
    assert rows[0]["process_mib"] == "1536.0"
    overlapping = markdown(summary_of(runs, [0.1, 0.15, None]))
    assert "0.1 [0.05, 0.15] (not separated)" in overlapping


def test_amounts_for_a_reader() -> None:
    assert [duration(s) for s in (None, 8.44, 59.99, 277, 7500)] == [
        "", "8.4 s", "60.0 s", "4 min 37 s", "2 h 05 min",
    ]  # fmt: skip
    assert [mebibytes(m) for m in (None, 512.4, 1536)] == ["", "512 MiB", "1.5 GiB"]
