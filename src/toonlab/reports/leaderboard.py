"""A leaderboard as Markdown and CSV, out of the reports of `src/eval.py`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toonlab.reports.chart import number

Report = Mapping[str, Any]

_COLUMNS = {  # by the beginning of a score's name; the rest is the feature network
    "kid": "KID ↓",
    "fd": "FD ↓",
    "fid": "FID ↓",
    "mmd": "MMD ↓",
    "nn1": "1-NN → ½ (real, painted)",
    "content": "content ↓",
    "edge_f1": "edge F1 ↑",
}

NO_WEIGHTS = "no weights"


class Entry(NamedTuple):
    """One network: its reports by style, its flicker, its cost; None: not known, or not asked for."""

    name: str
    reports: Mapping[str, Report]
    film: Report | None
    parameters: int | None
    gmacs: float | None
    milliseconds: float | None
    canonical: Mapping[str, Report] = {}
    """Reports with Inception's features, by style; empty: none."""

    @property
    def flicker(self) -> float | None:
        """The warp error of the film as it paints it."""
        return None if self.film is None else float(self.film["scores"]["warp_error"]["value"])


class Board(NamedTuple):
    """Everything that the page shows.

    `frame` is the height and width of what was counted and timed, `about` the machine and the sizes.
    """

    entries: Sequence[Entry]
    styles: Sequence[str]
    film: str | None
    frame: tuple[int, int]
    about: Mapping[str, Any]
    no_canonical: str | None = None
    """Why there is no canonical FID, if it was asked for."""

    def plain(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        entries = [entry._asdict() for entry in self.entries]
        return {**self._asdict(), "entries": entries, "frame": list(self.frame), "about": dict(self.about)}


class Value(NamedTuple):
    """A score, its interval, and both in units of what the untouched photos score."""

    value: float
    interval: tuple[float, float] | None


def score_of(report: Report, kind: str) -> Value | None:
    """Return a score by the beginning of its name."""
    name = _full(report, kind)
    if name is None:
        return None
    interval = report.get("intervals", {}).get(name)
    return Value(float(report["scores"][name]["value"]), tuple(interval) if interval else None)


def ratio_of(report: Report) -> Value | None:
    """Return KID(painted, style) / KID(photos, style), with the interval that KID of the painted has."""
    found, name = score_of(report, "kid"), _full(report, "kid")
    if found is None or name is None:
        return None
    as_is = float(report["scores"][name]["source_as_is"])
    if as_is <= 0:
        return None  # the photos cannot be told from the style: nothing to divide by
    interval = (found.interval[0] / as_is, found.interval[1] / as_is) if found.interval else None
    return Value(found.value / as_is, interval)


def markdown(board: Board) -> str:
    """Return a table for each style, the best first, and what a reader has to know."""
    lines = ["# Leaderboard", ""]
    for style in board.styles:
        lines += [f"## Against {style}", "", *_table(board, style), ""]
    first = next(iter(board.entries[0].reports.values()))
    images, height, width = first["protocol"]["images"], *board.frame
    lines += [
        f"n = {images['n']} images a set, of {images['sources']} photos painted at {board.about['size']} px; "
        f"features {first['protocol']['features']['extractor']}. In brackets 95 % intervals over images "
        "(bootstrap), not over trainings. KID ratio: KID of the painted photos over that of the untouched, "
        "between the same sets.",
        f"GMACs: the network on a whole frame of {width}x{height}; ms: that frame as `src/stylize.py` paints "
        "it by default, which may be a smaller copy (`quality=`); medians, in "
        f"turn, on {board.about['device']}."
        + (f" Flicker: warp error on {board.film}." if board.film else "")
        + (f" FID: not computed; {board.no_canonical}." if board.no_canonical else ""),
    ]
    return "\n".join(lines) + "\n"


def spreadsheet(board: Board) -> str:
    """Return CSV: every score of every network against every style."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["network", "style", "score", "value", "low", "high", "untouched", "real_against_real", "n"]
    writer.writerow(head)
    for entry in board.entries:
        named = [(style, report, list(report["scores"])) for style, report in entry.reports.items()]
        named += [(style, report, ["fid", "kid"]) for style, report in entry.canonical.items()]
        for style, report, names in named:
            for name in names:
                score = report["scores"][name]
                low, high = report.get("intervals", {}).get(name, (None, None))
                levels = [score["source_as_is"], score["real_vs_real"], score["n"]]
                writer.writerow([entry.name, style, name, score["value"], low, high, *levels])
        cost = {"warp_error": entry.flicker, "parameters": entry.parameters, "gmacs": entry.gmacs}
        for name, value in {**cost, "milliseconds": entry.milliseconds}.items():
            writer.writerow([entry.name, "", name, value, None, None, None, None, None])
    return text.getvalue()


def _table(board: Board, style: str) -> list[str]:
    entries = sorted(board.entries, key=lambda entry: _order(entry.reports[style]))
    kinds = [kind for kind in _COLUMNS if any(_full(each.reports[style], kind) for each in entries)]
    costs = ["flicker ↓", "M parameters", "GMACs", "ms"] if board.film else ["M parameters", "GMACs", "ms"]
    fid = bool(board.no_canonical) or any(each.canonical for each in entries)
    extra = ["FID of Inception ↓"] if fid else []
    head = ["network", "KID ratio ↓", *(_COLUMNS[kind] for kind in kinds), *extra, *costs]
    rows = [head, ["---"] * len(head)]
    for entry in entries:
        report = entry.reports[style]
        cells = [_written(ratio_of(report)), *(_cell(report, kind) for kind in kinds)]
        cells += [_cell(entry.canonical[style], "fid") if entry.canonical else NO_WEIGHTS] if fid else []
        rows.append([entry.name, *cells, *_costs(entry, flicker=board.film is not None)])
    first = entries[0].reports[style]
    for title, level in (("photos as they are", "source_as_is"), (f"{style} against itself", "real_vs_real")):
        ratio = "1" if level == "source_as_is" else ""
        levels = [_level(first, kind, level) for kind in kinds]
        named = entries[0].canonical
        levels += [_level(named[style], "fid", level) if named else NO_WEIGHTS] if fid else []
        rows.append([f"*{title}*", ratio, *levels, *[""] * len(costs)])
    return [f"| {' | '.join(row)} |" for row in rows]


def _order(report: Report) -> float:
    found = score_of(report, "kid")
    return found.value if found else float("inf")


def _cell(report: Report, kind: str) -> str:
    if kind == "nn1":
        found = [score_of(report, each) for each in ("nn1", "nn1_real", "nn1_fake")]
        whole, real, fake = ("" if each is None else f"{each.value:.2f}" for each in found)
        return f"{whole} ({real}, {fake})"
    return _written(score_of(report, kind))


def _written(found: Value | None) -> str:
    if found is None:
        return ""
    if abs(found.value) < 1e-9:  # the content distance of a picture and itself, in other batches
        return "0"
    if found.interval is None:
        return number(found.value)
    return f"{number(found.value)} [{number(found.interval[0])}, {number(found.interval[1])}]"


def _level(report: Report, kind: str, level: str) -> str:
    name = _full(report, kind)
    value = None if name is None else report["scores"][name][level]
    return "" if value is None else number(value)


def _costs(entry: Entry, *, flicker: bool) -> list[str]:
    found = [
        "" if entry.parameters is None else f"{entry.parameters / 1e6:.2f}",
        "" if entry.gmacs is None else f"{entry.gmacs:.0f}",
        "" if entry.milliseconds is None else f"{entry.milliseconds:,.0f}",
    ]
    return [("" if entry.flicker is None else number(entry.flicker)), *found] if flicker else found


def _full(report: Report, kind: str) -> str | None:
    """Return a score's whole name: `kid_effnetlite0` of `kid`, and never `kid_std_effnetlite0`."""
    deep = kind.count("_") + 1  # the name of the features follows, or nothing
    fits = (n for n in report["scores"] if n == kind or (n.startswith(f"{kind}_") and n.count("_") == deep))
    return next(fits, None)
