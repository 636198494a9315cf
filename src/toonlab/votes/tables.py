"""The vote as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from toonlab.reports.chart import number
from toonlab.votes.results import Results
from toonlab.votes.shares import EqualShares


def by_rater(raters: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]]) -> list[str]:
    """Return source 004's table of votes: a line for each model, a column for each rater, and the total."""
    lines = [f"| model | {' | '.join(map(_cell, raters))} | Final votes |", "|---" * (len(raters) + 2) + "|"]
    return lines + [
        f"| {_cell(title)} | {' | '.join(map(str, counts))} | {sum(counts)} |" for title, counts in rows
    ]


def markdown(results: Results) -> str:
    """Return the report."""
    manifest = results.manifest
    names = [model.name for model in manifest.models]
    standings = {standing.model: standing for standing in results.standings}
    lines = [f"# {manifest.question}", "", about(results), "", *(f"> {text}\n" for text in results.warnings)]
    counts = [(name, [results.ballots[rater][i] for rater in results.raters]) for i, name in enumerate(names)]
    totals = [sum(results.ballots[rater].values()) for rater in results.raters]
    lines += ["## Votes", "", *by_rater(results.raters, [*counts, ("*all*", totals)]), ""]
    rows = []
    for place, (model, each) in enumerate(standings.items(), start=1):
        low, high = each.share
        rows.append(
            [
                str(place),
                names[model],
                f"{each.wins} of {each.shown}",
                f"{percent(each.wins / each.shown if each.shown else 0)} [{percent(low)}, {percent(high)}]",
                f"{number(each.strength)}{_span(each.interval)}",
                "" if each.best is None else percent(each.best),
            ]
        )
    head = ["", "model", "picked", "share [95 %]", "strength [95 %]", "best in"]
    lines += ["## Models", "", *_table(head, rows), "", about_test(results.no_preference), "", NOTES, ""]
    if manifest.mode == "pairs":
        lines += ["## Who beat whom", ""]
        beats = [
            [name, *("" if i == j else str(results.beaten.get((i, j), 0)) for j in range(len(names)))]
            for i, name in enumerate(names)
        ]
        lines += [*_table(["picked over", *names], beats), ""]
    lines += ["## Raters", "", about_agreement(results), ""]
    lines += _table(
        ["rater", "answers", "median seconds"],
        [
            [rater, str(sum(results.ballots[rater].values())), _maybe(results.seconds.get(rater))]
            for rater in results.raters
        ],
    )
    lines += ["", "## Places", ""]
    places = range(1, len(results.places) + 1)
    lines += _table(["", *(f"place {place}" for place in places)], [["picked", *map(str, results.places)]])
    lines += ["", about_test(results.place_bias, "all places are picked equally often"), ""]
    lines += _table(
        ["stood at", *(f"place {place}" for place in places)],
        [[name, *map(str, row)] for name, row in zip(names, results.stood, strict=True)],
    )
    lines += ["", "## Metrics", ""]
    if results.about_metrics:
        lines += [results.about_metrics, ""]
    if results.metrics:
        scored = [
            [
                metric.name,
                metric.better,
                *("" if value is None else number(value) for value in metric.values),
                *(("",) * 4 if found is None else (str(found.n), *(f"{v:.2f}" for v in found[1:]))),
            ]
            for metric, found in results.agreements
        ]
        lines += _table(["metric", "better", *names, "n", "Spearman ρ", "Kendall τ", "by chance"], scored)
    return "\n".join(lines) + "\n"


def spreadsheet(results: Results) -> str:
    """Return CSV, a line for each model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["model", "kind", "source", "picked", "shown", "share_low", "share_high", "strength"]
    raters = [f"votes_{rater}" for rater in results.raters]
    more = ["strength_low", "strength_high", "best", *raters, *(metric.name for metric in results.metrics)]
    writer.writerow([*head, *more])
    for each in results.standings:
        model = results.manifest.models[each.model]
        low, high = each.interval or ("", "")
        writer.writerow(
            [
                *(
                    _safe(model.name),
                    model.kind,
                    model.source,
                    each.wins,
                    each.shown,
                    *each.share,
                    each.strength,
                ),
                *(low, high, "" if each.best is None else each.best),
                *(results.ballots[rater][each.model] for rater in results.raters),
                *(
                    "" if (value := metric.values[each.model]) is None else value
                    for metric in results.metrics
                ),
            ]
        )
    return text.getvalue()


def votes(results: Results) -> str:
    """Return CSV, a line for each vote; `src/report.py votes=FILE` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rater", "model", "run", "photo", "question", "shown", "place", "milliseconds", "at"])
    names = [model.name for model in results.manifest.models]
    for vote in results.cast:
        model = results.manifest.models[vote.picked]
        photo = results.manifest.photos[vote.photo].name
        shown = "|".join(names[i] for i in vote.shown)
        spent = "" if vote.milliseconds is None else vote.milliseconds
        writer.writerow(
            [
                *(_safe(vote.rater), _safe(model.name), model.run, _safe(photo)),
                *(vote.number + 1, _safe(shown), vote.place + 1, spent, f"{vote.at:.3f}"),
            ]
        )
    return text.getvalue()


NOTES = (
    "Shares have Wilson intervals, as if all votes were independent. Strengths (Bradley-Terry; with several "
    "shown, Luce's choice) are the chances to be picked if all were shown; their intervals are bootstrapped "
    "over photos, votes on one photo together; `best in` says in how many of these draws a model was the "
    "strongest. Other photos are thus allowed for, other raters are not."
)


def about(results: Results) -> str:
    """Say how much was asked of whom, and how."""
    manifest, people = results.manifest, len(results.raters)
    what = "one of all" if manifest.mode == "pick" else "one of two"
    changed = f", {results.changes} of them after a change of mind" if results.changes else ""
    return (
        f"{len(results.cast)} votes{changed} by {people} rater{'s' if people != 1 else ''} on "
        f"{len(manifest.photos)} photos of {manifest.photos_dir}; each vote picks {what} pictures. Models, "
        f"order and places were blind (seed {manifest.seed})."
    )


def about_test(test: EqualShares | None, null: str = "all models are liked equally") -> str:
    """Write a test down."""
    if test is None:
        return "Too few votes for a test."
    p = f"{test.p:.3f}" if test.p >= 0.001 else f"{test.p:.1g}"
    return f"If {null}: χ² = {test.statistic:.2f}, {test.freedom} degrees of freedom, p = {p}."


def about_agreement(results: Results) -> str:
    """Say how far the raters agree."""
    if results.same is None:
        return "No question was answered by two raters: nothing can be said of agreement."
    what = "questions" if results.manifest.mode == "pairs" else "photos"
    whole = results.shared_by_all
    kappa = "has no value here" if results.kappa is None else f"= {results.kappa:.2f}"
    alpha = "has no value here" if results.alpha is None else f"= {results.alpha:.2f}"
    return (
        f"Two raters say the same in {percent(results.same)} of what both answered. Fleiss' κ {kappa} (over "
        f"the {whole} {what} that all {len(results.raters)} answered), Krippendorff's alpha {alpha} (all "
        "answers). "
        "1 is full agreement, 0 as much as by chance."
    )


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.0f} %"


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{number(round(interval[0], 4))}, {number(round(interval[1], 4))}]"


def _maybe(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _safe(text: str) -> str:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in [head, *rows]]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]
