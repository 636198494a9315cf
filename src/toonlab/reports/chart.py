"""Line charts as SVG text: colours come from the page's style, so that one chart suits light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 420, 250  # units of the view box; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 34
POINTS = 240  # a line; more would not be seen, and weigh
COLOURS, DASHES = 8, 4  # of a page's style; together they tell 32 runs apart


class Line(NamedTuple):
    """A run's values: `(iteration, value)`, finite, by iteration."""

    run: int  # its number in the page, which gives its colour
    name: str
    points: Sequence[tuple[float, float]]


class Level(NamedTuple):
    """A baseline across the chart."""

    name: str
    value: float


def look(run: int) -> str:
    """Return the CSS classes of a run's colour and dashes."""
    return f"c{run % COLOURS} d{run // COLOURS % DASHES}"


def chart(title: str, lines: Sequence[Line], levels: Sequence[Level] = (), *, log: bool = False) -> str:
    """Draw lines over iterations; a logarithmic scale needs positive values."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + [level.value for level in levels]
    scale = math.log10 if log else float
    low, high = min(map(scale, ys)), max(map(scale, ys))
    pad = (high - low or abs(high) or 1) * 0.05
    low, high = low - pad, high + pad
    first, last = min(xs), max(xs)
    last = last if last > first else first + 1

    def across(x: float) -> float:
        return LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (scale(y) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)} over iterations">'
    ]
    for y in _log_ticks(low, high) if log else ticks(low, high, 5):
        parts.append(f'<path class="rule" d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{number(y)}</text>')
    for x in ticks(first, last, 5):
        parts.append(
            f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{number(x)}</text>'
        )
    for level in levels:
        parts.append(f'<path class="level" d="M{LEFT} {up(level.value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="level" x="{WIDTH - RIGHT - 2}" y="{up(level.value) - 4:.1f}" text-anchor="end">'
            f"{escape(level.name)}</text>"
        )
    for line in lines:
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in thinned(line.points))
        said = f"{escape(line.name)}: {number(line.points[-1][1])} at {number(line.points[-1][0])}"
        shape = f'<polyline points="{path}"/>'
        if len(line.points) == 1:
            x, y = line.points[0]
            shape = f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>'
        parts.append(
            f'<g class="line {look(line.run)}" data-run="{line.run}"><title>{said}</title>{shape}</g>'
        )
    parts.append("</svg>")
    return "".join(parts)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return about `POINTS` points at most, of each stretch its lowest and its highest: spikes stay."""
    if len(points) <= POINTS:
        return list(points)
    stretch = math.ceil(len(points) / (POINTS // 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {part.index(pick(part, key=lambda point: point[1])) for pick in (min, max)}
        kept += [part[i] for i in sorted(ends)]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Return round numbers between two ends, 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten between two exponents, or 1, 2, 5 times such where these are fewer than two."""
    powers = [10.0**e for e in range(math.ceil(low), math.floor(high) + 1)]
    if len(powers) > 6:
        powers = powers[:: math.ceil(len(powers) / 6)]
    if len(powers) >= 2:
        return powers
    steps = (f * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for f in (1, 2, 5))
    return [value for value in steps if low <= math.log10(value) <= high]


def number(value: float) -> str:
    """Write a number for a reader: three or four digits, thousands with a comma."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
