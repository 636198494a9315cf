"""Source 004's tables out of scored runs."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from toonlab.votes.tables import by_rater

TITLES = {
    "gan_v1": "Gan v1",
    "gan_v2": "Gan v2",
    "cyclegan": "Base cycle gan",
    **{f"cyclegan_v{i}": f"Cycle gan v{i}" for i in (3, 4, 5, 6)},
}
"""Source 004's names, in its order; other methods follow under their own."""
TITLES |= {"cyclegan_v1": TITLES["gan_v1"], "cyclegan_v2": TITLES["gan_v2"]}


Ballots = Mapping[str, Counter[str]]
"""Each rater's picks, by `Row.key`: the method, or where several runs have it the run."""


class Row(NamedTuple):
    """One run's scores."""

    method: str
    run: Path
    iteration: int
    scores: dict[str, dict[str, Any]]
    supervised: bool
    about: dict[str, Any]
    is_best: bool = True
    shares_method: bool = False  # with another run, so that votes for the method could be for either

    @property
    def key(self) -> str:
        """What votes for it are counted under."""
        return str(self.run) if self.shares_method else self.method


def _value(row: Row, metric: str, level: str = "value") -> float:
    """Return a score by the beginning of its name; the rest is the feature network."""
    full = next(name for name in row.scores if name.startswith(metric))
    return float(row.scores[full][level])


def score_table(rows: Sequence[Row]) -> list[str]:
    """Return Markdown: MMD and 1-NN with the iteration they are of, and what two baselines score."""
    head = ["Model name", "MMD² ↓ (iteration)", "1-NN (iteration)", "learns from pairs"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        title, at = TITLES.get(row.method, row.method), f"({row.iteration}{'' if row.is_best else ', last'})"
        mmd, nn1 = _value(row, "mmd2_biased"), _value(row, "nn1")
        lines.append(f"| {title} | {mmd:.5f} {at} | {nn1:.5f} {at} | {'yes' if row.supervised else 'no'} |")
    for label, level in (("nothing done", "source_as_is"), ("real against real", "real_vs_real")):
        values = [f"{_value(rows[0], metric, level):.5f}" for metric in ("mmd2_biased", "nn1")]
        lines.append(f"| *{label}* | {values[0]} | {values[1]} | |")
    return lines


def vote_table(ballots: Ballots, rows: Sequence[Row]) -> list[str]:
    """Return Markdown: votes by model and rater; nothing without votes."""
    if not ballots:
        return []
    raters = sorted(ballots)
    counts = [(TITLES.get(row.method, row.method), [ballots[r][row.key] for r in raters]) for row in rows]
    return ["", *by_rater(raters, counts)]


def notes(rows: Sequence[Row]) -> list[str]:
    """Say what a reader must know before comparing: the protocol, and what does not compare."""
    protocols = {json.dumps([row.about["images"], row.about["kind"]], sort_keys=True) for row in rows}
    seen, kind = rows[0].about["images"], rows[0].about["kind"]
    features = rows[0].about["features"]["extractor"]
    lines = [
        f"{kind}, n = {seen['n']} images a set, features {features}; each checkpoint is validation's "
        f"best{_last(rows)}, one for both scores. MMD² is the biased estimate; 1-NN is 0.5 where the sets "
        "cannot be told apart, and less where images find their own partners.",
        "Methods that learn from pairs are supervised: their scores do not compare with the others'.",
    ]
    if len(protocols) > 1:
        lines.append("The runs were NOT scored on the same sets in the same direction: do not compare them.")
    return lines


def _last(rows: Sequence[Row]) -> str:
    unchosen = sum(not row.is_best for row in rows)
    return f" (of {unchosen} never validated, the last)" if unchosen else ""


def spreadsheet(rows: Sequence[Row], ballots: Ballots) -> str:
    """Return CSV: every score of every run."""
    text = io.StringIO()
    metrics = list(rows[0].scores)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "run", "iteration", "supervised", *metrics, *(["votes"] if ballots else [])])
    for row in rows:
        votes = [sum(ballot[row.key] for ballot in ballots.values())] if ballots else []
        values = [row.scores[metric]["value"] for metric in metrics]
        writer.writerow([row.method, row.run, row.iteration, row.supervised, *values, *votes])
    return text.getvalue()
