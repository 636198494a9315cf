"""The report on runs of several styles and on runs that complete: scored, compared and shown as any other."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig

from shipped import SMALL, shrink, trained_generator
from toonlab.app import report, train
from toonlab.app.reporting.found import mean_of

FEW = [
    "data=synthetic",
    "data.seed=0",
    "data.count=10",
    "log_every=1",
    "eval_every=2",
    "save_every=2",
    "iterations=2",
]


def trained(composed, folder: Path, *overrides: str) -> Path:
    folder.mkdir(parents=True)
    cfg = composed(*FEW, *overrides)
    HydraConfig.instance().cfg.hydra.runtime.output_dir = str(folder)
    shrink(cfg.method, SMALL | {"rank": 2})
    train.run(cfg)
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(list(overrides)))
    return folder


def told(composed, sweep: Path, **more: object) -> dict[str, str]:
    words = [f"{key}={value}" for key, value in more.items()]
    report.run(composed(f"runs={sweep}", "device=cpu", "photos=2", "rows=2", *words, config="report"))
    return {suffix: (sweep / f"report.{suffix}").read_text() for suffix in ("html", "md", "csv")}


@pytest.mark.slow
def test_a_run_of_several_styles(composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = tmp_path / "sweep"
    for seed in (0, 1):
        run = trained(
            composed, sweep / f"{seed}_styles", "method=adapted_cartoongan", f"seed={seed}", "data.count=10"
        )
    text = told(composed, sweep)
    reports = {
        style: json.loads((run / f"eval/ladder_best_0000002/{style}/report.json").read_text())
        for style in ("two", "three")
    }
    rows = list(csv.DictReader(text["csv"].splitlines()))
    kids = [each["scores"]["kid_effnetlite0"]["value"] for each in reports.values()]
    assert kids[0] != kids[1]
    assert float(rows[1]["kid_effnetlite0"]) == pytest.approx(fmean(kids))
    lows = [each["intervals"]["kid_effnetlite0"][0] for each in reports.values()]
    assert float(rows[1]["kid_effnetlite0_low"]) == pytest.approx(fmean(lows))
    assert rows[0]["kid_effnetlite0_rank"]  # same images: compared
    assert "## Styles" in text["md"]
    assert len(re.findall(r"^\| [01]_styles \| (?:two|three) \| ", text["md"], re.MULTILINE)) == 4
    for style in ("two", "three"):
        assert f'data-name="1_styles as {style}"' in text["html"]
    assert text["html"].count("data:image/jpeg") == 2 * (1 + 2) * 2  # styles, source and runs, photos
    assert not (sweep / "ladder.md").exists()

    def refuse(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr("toonlab.app.reporting.scores.score", refuse)
    assert told(composed, sweep)["csv"] == text["csv"]
    with pytest.raises(AssertionError, match="scored again"):
        told(composed, sweep, rescore="true")


def test_runs_that_complete(composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ckpt, sweep = trained_generator(tmp_path / "trained.ckpt"), tmp_path / "sweep"
    for seed in (0, 1):
        words = ("method=latent_inpainting", f"ckpt={ckpt}", f"seed={seed}", "features=efficientnet_lite0")
        run = trained(composed, sweep / f"{seed}_holes", *words)
    text = told(composed, sweep)
    rows = list(csv.DictReader(text["csv"].splitlines()))
    raw = [
        json.loads(path.read_text())["scores"] for path in sorted(sweep.glob("*/eval/ladder_*/report.json"))
    ]
    for row, scores in zip(rows, raw, strict=True):
        for name in ("hole_l1", "hole_psnr", "hole_lpips_effnetlite0"):
            mean = np.mean(scores["completed"][name])
            assert float(row[name]) == pytest.approx(mean)
            assert float(row[f"{name}_low"]) <= mean <= float(row[f"{name}_high"])
            assert row[f"{name}_rank"]
    # Whatever the runs' seeds, the same holes were filled: what needs no training scores the same.
    assert raw[0]["cartoonized as it is"] == raw[1]["cartoonized as it is"]
    assert raw[0]["completed"] != raw[1]["completed"]
    assert "| *cartoonized as it is* |" in text["md"]
    assert "Hole PSNR ↑" in text["md"]
    assert 'data-name="damaged photo"' in text["html"]
    assert text["html"].count("data:image/jpeg") == (1 + 2) * 2

    def refuse(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr("toonlab.app.reporting.completions.score_holes", refuse)
    assert told(composed, sweep)["csv"] == text["csv"]
    path = run / "eval" / "ladder_best_0000002" / "report.json"
    path.write_text(path.read_text().replace('"input_size": 224', '"input_size": 96'))
    with pytest.raises(AssertionError, match="scored again"):
        told(composed, sweep)


def test_means_by_hand() -> None:
    """What only one of them has, has no mean; what is no number is the first one's."""
    one = {
        "scores": {
            "kid": {"value": 1.0, "real_vs_real": 0.5, "n": 4, "better": "lower"},
            "own": {"value": 1.0},
        },
        "intervals": {"kid": [0.0, 2.0]},
        "about": {"kind": "to_cartoon"},
    }
    two = {
        "scores": {"kid": {"value": 2.0, "real_vs_real": None, "n": 4, "better": "lower"}},
        "intervals": {"kid": [1.0, 6.0]},
        "about": {},
    }
    mean = mean_of([one, two])
    assert mean["scores"] == {"kid": {"value": 1.5, "n": 4, "better": "lower"}}
    assert mean["intervals"] == {"kid": (0.5, 4.0)}
    assert mean["about"] == {"kind": "to_cartoon"}
