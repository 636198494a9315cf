"""Scores with everything one needs in order to read them: n, baselines, direction and protocol."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Direction = Literal["lower", "higher", "toward 1/2", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One metric's value between reference and painted images, and three other levels."""

    value: float
    real_vs_real: float | None  # between two halves of the targets: as good as it gets at this n
    source_as_is: float | None  # for the unpainted images: what doing nothing scores
    unrelated: float | None  # between different images; content only
    n: int
    better: Direction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one evaluation found."""

    scores: dict[str, Score]
    protocol: dict[str, Any]
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """Bootstrap intervals of 95 % over images, of the scores that have one (metrics/intervals.py)."""

    def scalars(self) -> dict[str, float]:
        """Return values by name for a logger, each baseline as `<name>_<baseline>`."""
        flat: dict[str, float] = {}
        for name, score in self.scores.items():
            flat[name] = score.value
            for baseline in ("real_vs_real", "source_as_is", "unrelated"):
                if (level := getattr(score, baseline)) is not None:
                    flat[f"{name}_{baseline}"] = level
        return flat

    def to_json(self, path: Path, *, about: Mapping[str, Any] | None = None) -> None:
        """Write atomically: a reader sees the old file or the new one.

        `about` says what was scored: checkpoint, data, environment; JSON-able.

        Raises:
            ValueError: a score is not finite, which JSON cannot say.
        """
        content = {**dataclasses.asdict(self), "about": dict(about or {})}
        text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def table(self) -> str:
        """Return an aligned table for a terminal, the protocol below it."""
        head = ["metric", "painted", "real vs real", "as is", "unrelated", "n", "better"]
        rows = [head]
        for name, score in self.scores.items():
            levels = (score.value, score.real_vs_real, score.source_as_is, score.unrelated)
            better = "" if score.better == "none" else score.better
            rows.append([name, *map(_number, levels), str(score.n), better])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        features, content, kid = (self.protocol[key] for key in ("features", "content", "kid"))
        seen = self.protocol["images"]
        lines += [
            "",
            f"sets      n = {seen['n']} each: painted, unpainted, two halves of the target domain "
            f"({seen['sources']} painted and {seen['targets']} of the target domain seen)",
            f"features  {features['extractor']}, {features['num_features']} numbers; {features['input']}",
            f"content   {content['extractor']}; {content['input']}",
            f"KID       {kid['subsets']} subsets of {kid['subset_size']}",
        ]
        return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    """Pad names and directions to the right, numbers to the left."""
    last = len(row) - 1
    return [
        cell.ljust(width) if i in (0, last) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
