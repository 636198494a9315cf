"""`src/report.py`: runs side by side, as source 004 prints them."""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toonlab.app.evaluate import score
from toonlab.app.ladder import TITLES, Ballots, Row, notes, score_table, spreadsheet, vote_table
from toonlab.app.setup import make, quiet
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError, did_you_mean

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Score the runs that are not scored yet, print the table, write `ladder.md` and `ladder.csv`.

    Raises:
        UsageError: no runs there, or votes that name no run.
    """
    quiet()
    given = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    runs = [run for folder in given for run in _runs(Path(str(folder)).expanduser().absolute())]
    rows = [_scored(cfg, folder) for folder in runs]
    order = list(TITLES)
    rows.sort(key=lambda row: order.index(row.method) if row.method in order else len(order))
    head = Path(str(given[0])).expanduser().absolute()
    ballots = _votes(Path(cfg.votes).expanduser() if cfg.votes else head / "votes.csv", rows, bool(cfg.votes))
    page = "\n".join([*score_table(rows), *vote_table(ballots, rows), "", *notes(rows)]) + "\n"
    output = Path(cfg.output).expanduser() if cfg.output else head
    output.mkdir(parents=True, exist_ok=True)
    (output / "ladder.md").write_text(page, encoding="utf-8")
    (output / "ladder.csv").write_text(spreadsheet(rows, ballots), encoding="utf-8")
    log.info("%s\nwritten to %s and ladder.csv", page, output / "ladder.md")


def _runs(folder: Path) -> list[Path]:
    """Return the run folders of a sweep, or the folder itself if it is a run."""
    found = (
        [folder]
        if (folder / "config.yaml").is_file()
        else sorted(config.parent for config in folder.glob("*/config.yaml"))
    )
    trained = [run for run in found if (run / "checkpoints" / "last.ckpt").is_file()]
    for run in found:
        if run not in trained:
            log.warning("%s has no checkpoint yet: left out", run)
    for run in [run for run in trained if _is_of_several_styles(run)]:
        trained.remove(run)
        log.warning("%s holds several styles: left out; src/eval.py ckpt=%s compares these", run, run)
    if not trained:
        raise UsageError(f"runs={folder}: no finished run there; give a folder under outputs/, see --help")
    return trained


def _is_of_several_styles(run: Path) -> bool:
    return "added" in (OmegaConf.select(OmegaConf.load(run / "config.yaml"), "method") or {})


def _scored(cfg: DictConfig, run: Path) -> Row:
    best = run / "checkpoints" / "best.ckpt"
    checkpoint = best if best.is_file() else run / "checkpoints" / "last.ckpt"
    loaded = load_generator(checkpoint)
    folder = run / "eval" / f"ladder_{checkpoint.stem}_{loaded.iteration:07d}"
    metrics = OmegaConf.to_container(cfg.metrics, resolve=True)
    report = _read(folder / "report.json")
    if cfg.rescore or report is None or report["about"]["metrics"] != metrics:
        log.info("scoring %s", run.name)
        data = make(OmegaConf.create({"data": loaded.config["data"]}), "data", extras=[])
        about = {
            "checkpoint": str(checkpoint),
            "iteration": loaded.iteration,
            "weights": "EMA",
            "part": "test",
        }
        score(cfg, loaded, data, "test", folder, about | {"data": loaded.config["data"]})
        report = _read(folder / "report.json")
    assert report is not None  # noqa: S101 (just written)
    name = loaded.config.get("name") or run.name
    supervised = bool(loaded.config.get("paired_terms"))
    return Row(
        method=name,
        run=run,
        iteration=loaded.iteration,
        scores=report["scores"],
        supervised=supervised,
        about=report["about"] | report["protocol"],
        is_best=checkpoint == best,
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _votes(path: Path, rows: list[Row], asked: bool) -> Ballots:
    """Return each rater's picks by method."""
    if not path.is_file():
        if asked:
            raise UsageError(f"votes={path}: no such file; it is a CSV with the columns rater,model")
        return {}
    known = {row.method for row in rows}
    ballots: dict[str, Counter[str]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"rater", "model"} <= set(reader.fieldnames or ()):
            raise UsageError(f"votes={path}: needs the columns rater,model in its first line")
        for number, line in enumerate(reader, start=2):
            if line["model"] not in known:
                hint = did_you_mean(str(line["model"]), known)
                raise UsageError(f"votes={path}, line {number}: no run of method '{line['model']}'{hint}")
            ballots.setdefault(str(line["rater"]), Counter())[line["model"]] += 1
    return ballots
