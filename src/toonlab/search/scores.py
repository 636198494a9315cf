"""What a search looks at: validation scores, as runs write them to `metrics.jsonl`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from toonlab.errors import UsageError, check_choice, did_you_mean

PREFIX = "val/"
LOWER = ("kid", "fid", "fd", "mmd", "content", "lpips", "hole_l1", "hole_lpips", "l1")
HIGHER = ("edge_f1", "hole_psnr", "psnr", "ssim")
NEITHER = ("nn1", "kid_std")
"""Scores by how their names begin."""

BASELINES = ("_real_vs_real", "_source_as_is", "_unrelated")
"""Ends of the names of scores beside which others stand: no run changes them."""


def direction_of(metric: str | None, asked: str) -> str:
    """Return `minimize` or `maximize`.

    Args:
        metric: a score's name; None: the one that picks checkpoints, of which less is better.
        asked: one of the two, or `auto`.

    Raises:
        UsageError: the name does not say which is better.
    """
    check_choice("hydra.sweeper.direction", asked, ("auto", "minimize", "maximize"))
    if asked != "auto" or metric is None:
        return "minimize" if asked == "auto" else asked
    name = metric.rpartition("/")[2]
    if not name.startswith(NEITHER):
        if name.startswith(HIGHER):
            return "maximize"
        if name.startswith(LOWER):
            return "minimize"
    raise UsageError(
        f"hydra.sweeper.metric={metric}: better neither low nor high as far as is known here; say "
        "hydra.sweeper.direction=minimize or maximize"
    )


@dataclasses.dataclass
class Metric:
    """The score of a search.

    Attributes:
        name: as in `metrics.jsonl`; None until it is known: the one that picks a run's best checkpoint.
        sign: 1 if less is better, -1 if more is.
        pick: which validation stands for a run, its `best` or its `last`.
    """

    name: str | None
    sign: int
    pick: str

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which way is better, in Optuna's words."""
        return "minimize" if self.sign > 0 else "maximize"

    @classmethod
    def asked(cls, name: str, *, direction: str, pick: str) -> Metric:
        """Return the score that the user wants; `auto` is the one that picks checkpoints.

        Raises:
            UsageError: see `direction_of`.
        """
        check_choice("hydra.sweeper.pick", pick, ("best", "last"))
        whole = None if name == "auto" else PREFIX + name.removeprefix(PREFIX)
        return cls(whole, -1 if direction_of(whole, direction) == "maximize" else 1, pick)

    def learn(self, plan: Mapping[str, Any], line: Mapping[str, float]) -> None:
        """Find out from a first validation what is not known yet.

        Raises:
            UsageError: there is no such score.
        """
        if self.name is None:
            own = _monitor(plan)
            if own in line:
                self.name = own
        elif self.name not in line:
            names = [name for name in line if name.startswith(PREFIX) and not name.endswith(BASELINES)]
            known = [name.removeprefix(PREFIX) for name in names]
            asked = self.name.removeprefix(PREFIX)
            raise UsageError(
                f"hydra.sweeper.metric={asked}: no such score{did_you_mean(asked, known)}; there are "
                f"{', '.join(known)}"
            )

    def learn_from_result(self, folder: Path) -> None:
        """Take the score by which a finished run picked its best checkpoint, if it is not known yet."""
        if self.name is None:
            best = _result(folder).get("best") or {}
            self.name = next((key for key in best if key != "iteration"), None)

    def chosen(self, scores: Mapping[int, float]) -> tuple[int, float] | None:
        """Return the validation that stands for a run, iteration and score; None if it has none."""
        finite = {iteration: value for iteration, value in scores.items() if math.isfinite(value)}
        if not finite:
            return None
        last = max(finite)
        best = min(finite, key=lambda iteration: (self.sign * finite[iteration], iteration))
        where = last if self.pick == "last" else best
        return where, finite[where]

    def scores(self, folder: Path) -> dict[int, float]:
        """Return a run's scores by iteration."""
        lines = Validations(folder).new()
        return {int(line["iteration"]): float(line[self.name]) for line in lines if self.name in line}


class Validations:
    """Follows a run's validations while it writes them."""

    def __init__(self, folder: Path) -> None:
        self.path, self._read = folder / "metrics.jsonl", 0

    def new(self) -> list[dict[str, Any]]:
        """Return those that came since the last call; all of them again if the file has become shorter."""
        try:
            size = self.path.stat().st_size
            if size == self._read:
                return []
            with self.path.open("rb") as file:
                file.seek(self._read if self._read < size else 0)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        self._read = (self._read if self._read < size else 0) + len(whole)
        return [line for each in whole.splitlines() if PREFIX.encode() in each and (line := _parsed(each))]

    def again(self) -> None:
        """Forget what was read."""
        self._read = 0


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return line if "iteration" in line else {}


def _monitor(plan: Mapping[str, Any]) -> str | None:
    node: Any = plan
    for key in ("callbacks", "checkpoints", "monitor"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return None if node is None else str(node)


def _result(folder: Path) -> dict[str, Any]:
    try:
        whole = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return whole if isinstance(whole, dict) else {}
