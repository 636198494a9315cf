"""Everything a report says, gathered once for the page, the Markdown, the CSV and W&B."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from toonlab.reports.cost import Cost, cost_of
from toonlab.reports.importance import LEAST, Share, importance, together
from toonlab.reports.record import RunRecord
from toonlab.reports.scores import Cell, Metric, Scored, baselines, cells, metrics_of
from toonlab.reports.swept import Values, swept

ROOM = 8
"""Columns of swept values; runs of different sweeps differ in more than a table can show."""

CHANCE = 0.05
"""How often shuffled scores may show as large a share, for it to count as one."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """Runs, and of each its scores or why it has none."""

    title: str
    runs: Sequence[RunRecord]
    scored: Sequence[Scored | None]
    why_not: Sequence[str]

    @cached_property
    def swept(self) -> Values:
        """The values that differ."""
        return swept(self.runs)

    @cached_property
    def told(self) -> Values:
        """The swept values that a table has room for; those that every run has come first."""
        keys = sorted(self.swept, key=lambda key: None in self.swept[key])  # stable
        return {key: self.swept[key] for key in keys[:ROOM]}

    @cached_property
    def known(self) -> list[Scored]:
        """The scores that there are."""
        return [each for each in self.scored if each is not None]

    @cached_property
    def metrics(self) -> list[Metric]:
        """The columns."""
        return metrics_of(self.known)

    @cached_property
    def columns(self) -> list[list[Cell | None]]:
        """A column for each metric, a cell for each run."""
        return [cells(self.scored, metric) for metric in self.metrics]

    @cached_property
    def baselines(self) -> list[tuple[str, list[float | None]]]:
        """Titled rows, a value for each metric."""
        return baselines(self.known, self.metrics)

    @cached_property
    def styles(self) -> list[tuple[int, str, list[Cell | None]]]:
        """Of runs with several styles: the run's number, a style, and its scores, a cell for each metric."""
        return [
            (number, style, [next(iter(cells([one], metric))) for metric in self.metrics])
            for number, each in enumerate(self.scored)
            if each
            for style, one in each.styles.items()
        ]

    @cached_property
    def costs(self) -> list[Cost]:
        """Of each run."""
        return [cost_of(run) for run in self.runs]

    @cached_property
    def ended_early(self) -> list[RunRecord]:
        """The runs that did not finish."""
        return [run for run in self.runs if run.state != "finished"]

    @cached_property
    def not_scored(self) -> list[tuple[RunRecord, str]]:
        """The runs without scores, and why."""
        return [(run, why) for run, why in zip(self.runs, self.why_not, strict=True) if why]

    @cached_property
    def importance(self) -> list[tuple[Metric, list[Share]]]:
        """The swept values' shares in each score; empty if the runs are too few."""
        places = [i for i, each in enumerate(self.scored) if each is not None]
        values = {key: [row[i] for i in places] for key, row in self.swept.items()}
        found = []
        for metric, column in zip(self.metrics, self.columns, strict=True):
            seen = [(i, cell.value) for i, place in enumerate(places) if (cell := column[place]) is not None]
            if len(seen) == len(places) and (shares := importance(values, [value for _, value in seen])):
                found.append((metric, shares))
        return found

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before comparing."""
        found = []
        unread = [run for run in self.runs if not run.config and (run.folder / "config.yaml").is_file()]
        if unread:
            found.append(f"Cannot be read: {', '.join(str(run.folder / 'config.yaml') for run in unread)}.")
        if untold := [key for key in self.swept if key not in self.told]:
            found.append(f"The runs also differ in {', '.join(untold)}: see report.csv.")
        if len({each.sets for each in self.known}) > 1:
            found.append(
                "The runs were not all scored on the same images in the same way: "
                "compare only those of equal baselines; ranks are among these."
            )
        if self.styles:
            found.append(
                "Scores of runs with several styles are means over these; see the styles' own below."
            )
        if bare := sum(not each.intervals for each in self.known):
            found.append(
                f"{bare} of the runs were scored before intervals were kept: "
                "rescore=true adds them, and ranks."
            )
        if unchosen := sum(not each.is_best for each in self.known):
            found.append(
                f"{unchosen} of the runs were never validated: of these the last checkpoint is shown."
            )
        if self.known and (least := min(each.n for each in self.known)) < 50:
            found.append(
                f"Only {least} images a set: intervals are wide, and Fréchet distances biased upwards."
            )
        return found

    @cached_property
    def about_importance(self) -> str:
        """How to read the shares, or why there are none."""
        if not self.swept:
            return "Nothing was swept: the runs have the same settings."
        if len(self.known) < LEAST:
            some = f"{len(self.known)} scored run{'' if len(self.known) == 1 else 's'}"
            return f"{some}: too few to say which value matters; {LEAST} are the least."
        if not self.importance:
            return "The swept values do not vary among the scored runs, or their scores do not."
        said = []
        if twins := ", ".join(f"{a} with {b}" for a, b in together(self.swept)):
            said.append(f"These change together, so nothing tells their shares apart: {twins}.")
        chances = [share.chance for _, shares in self.importance for share in shares]
        if all(chance is not None and chance > CHANCE for chance in chances):
            said.append(f"{len(self.known)} runs are few: every share here may be chance.")
        return " ".join(said)

    def separated(self, column: Sequence[Cell | None]) -> str:
        """Say how far a column's ranks are certain."""
        placed = [cell.rank for cell in column if cell and cell.rank]
        if not placed:
            return ""
        if all((rank.best, rank.worst) == (1, rank.of) for rank in placed):
            return "not separated"
        return "all separated" if all(rank.best == rank.worst for rank in placed) else "partly separated"


def shown(value: Any) -> str:
    """Write a swept value."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
