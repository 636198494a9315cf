"""`src/report.py`: runs side by side, as one page, as tables, and as source 004 prints them."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from toonlab import __version__
from toonlab.app.ladder import TITLES, Row, notes, score_table, spreadsheet, vote_table
from toonlab.app.reporting.found import Found
from toonlab.app.reporting.mirror import mirror
from toonlab.app.reporting.pictures import Painter, paint
from toonlab.app.reporting.scores import find_or_score
from toonlab.app.reporting.votes import read_votes
from toonlab.app.setup import device_named, quiet
from toonlab.errors import UsageError
from toonlab.reports import tables
from toonlab.reports.folders import runs_of
from toonlab.reports.page import page
from toonlab.reports.record import RunRecord
from toonlab.reports.summary import Summary

log = logging.getLogger(__name__)

OURS = ("report.html", "report.md", "report.csv")


def run(cfg: DictConfig) -> None:
    """Score the runs that are not scored yet; write `report.html`, `.md`, `.csv`, and `ladder.md`, `.csv`.

    Raises:
        UsageError: no runs there, votes that name no run, or a report of another kind in the way.
    """
    quiet()
    given = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    folders = [Path(str(folder)).expanduser().absolute() for folder in given]
    runs = runs_of(folders)
    output = Path(cfg.output).expanduser() if cfg.output else folders[0]
    _check_output(output)
    found: list[Found | None] = []
    why_not: list[str] = []
    for each in tqdm(runs, desc="runs", unit="run"):
        answer = _attempt(cfg, each)
        found.append(answer if isinstance(answer, Found) else None)
        why_not.append(answer if isinstance(answer, str) else "")

    output.mkdir(parents=True, exist_ok=True)
    _write_ladder(cfg, runs, found, folders[0], output)
    scored = [each.scored if each else None for each in found]
    summary = Summary(folders[0].name if len(folders) == 1 else "Comparison", runs, scored, why_not)
    painters = [painter for i, each in enumerate(found) if each for painter in _painters(i, each)]
    grids = paint(painters, photos=cfg.photos, device=device_named(cfg.device))
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    html = page(summary, grids, made=f"{now}, version {__version__}")
    for name, text in zip(OURS, (html, tables.markdown(summary), tables.spreadsheet(summary)), strict=True):
        (output / name).write_text(text, encoding="utf-8")
    log.info("report: %s (open it in a browser), report.md and report.csv", output / "report.html")
    if cfg.get("wandb") is not None:
        mirror(cfg, summary, grids, html, output)


def _attempt(cfg: DictConfig, each: RunRecord) -> Found | str:
    """Return the scores, or why there are none; one bad run must not cost the others their report."""
    try:
        return find_or_score(cfg, each)
    except (UsageError, OSError) as error:
        log.warning("%s %s: left out of the scores", each.folder, error)
        return str(error)


def _painters(number: int, found: Found) -> list[Painter]:
    """Return what paints for a run: once, or once in each of its styles."""
    if found.completes and found.config["method"]["completion"] == "search":
        log.info("%s searches, minutes a photo: its pictures are in its samples/", found.checkpoint)
        return []
    plain = Painter(
        number, found.checkpoint, found.config["data"], found.direction, completes=found.completes
    )
    return [plain._replace(style=style) for style in found.styles] or [plain]


def _check_output(output: Path) -> None:
    """Refuse to write over files that another command left.

    Raises:
        UsageError: there are such.
    """
    theirs = [name for name in OURS if (output / name).exists()]
    if theirs and OURS[0] not in theirs:
        raise UsageError(
            f"output={output}: holds a {theirs[0]} that is not this command's; name another folder"
        )


def _write_ladder(
    cfg: DictConfig, runs: list[RunRecord], found: list[Found | None], head: Path, output: Path
) -> None:
    """Print source 004's table, of runs that paint one style; nothing where none of these has scores."""
    rows = [
        _row(each, answer)
        for each, answer in zip(runs, found, strict=True)
        if answer and not answer.styles and not answer.completes
    ]
    alike = Counter(row.method for row in rows)
    rows = [row._replace(shares_method=alike[row.method] > 1) for row in rows]
    order = list(TITLES)
    rows.sort(key=lambda row: order.index(row.method) if row.method in order else len(order))
    ballots = read_votes(
        Path(cfg.votes).expanduser() if cfg.votes else head / "votes.csv", rows, asked=bool(cfg.votes)
    )
    if not rows:
        log.info("no run that paints one style has scores: no ladder.md")
        return
    text = "\n".join([*score_table(rows), *vote_table(ballots, rows), "", *notes(rows)]) + "\n"
    (output / "ladder.md").write_text(text, encoding="utf-8")
    (output / "ladder.csv").write_text(spreadsheet(rows, ballots), encoding="utf-8")
    log.info("%s\nwritten to %s and ladder.csv", text, output / "ladder.md")


def _row(each: RunRecord, found: Found) -> Row:
    return Row(
        method=found.config.get("name") or each.folder.name,
        run=each.folder,
        iteration=found.iteration,
        scores=dict(found.report["scores"]),
        supervised=bool(found.config.get("paired_terms")),
        about=found.report["about"] | found.report["protocol"],
        is_best=found.checkpoint.stem == "best",
    )
