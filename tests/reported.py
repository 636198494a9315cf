"""Run folders as training leaves them, written by hand, and scores for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from toonlab.reports.page import Grid
from toonlab.reports.record import RunRecord, read_run
from toonlab.reports.scores import Scored
from toonlab.reports.summary import Summary


def run_folder(
    root: Path,
    name: str,
    *overrides: str,
    status: str | None = "finished",
    iterations: int = 60,
    **config: Any,
) -> Path:
    """Write a run without checkpoints: config, overrides, records, and `result.json` if it has a status."""
    run = root / name
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    choices = {"hydra": {"runtime": {"choices": {"method": "whitebox"}}}}
    (run / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(choices))
    (run / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "iterations": iterations, **config}))
    lines: list[dict[str, Any]] = [
        {"iteration": i, "generator/total": 5.0 / i, "discriminator/total": 0.5, "images_per_second": 8.0}
        for i in range(5, iterations + 1, 5)
    ]
    lines.append(
        {"iteration": iterations, "val/kid_net": 0.2, "val/kid_net_source_as_is": 0.4, "val/edge_f1": 0.5}
    )
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if status:
        result = {
            "status": status,
            "iterations": iterations,
            "seconds": 277.0,
            "images_per_second": 9.25,
            "peak_memory_mib": {"process": 1536.0, "device": None},
            "generator_parameters": 1_467_075,
            "device": "cpu",
            "torch_threads": 2,
        }
        (run / "result.json").write_text(json.dumps(result))
    return run


def scored(kid: float, *, half: float | None = 0.05, sets: str = "one", n: int = 75) -> Scored:
    """Scores of a run; `half` is half of every interval's width."""
    values = {"kid_net": (kid, "lower"), "kid_std_net": (0.1, "none"), "edge_f1": (1 - kid, "higher")}
    scores = {
        name: {"value": value, "source_as_is": 0.4, "real_vs_real": None, "n": n, "better": better}
        for name, (value, better) in values.items()
    }
    spans = (
        {}
        if half is None
        else {k: (values[k][0] - half, values[k][0] + half) for k in ("kid_net", "edge_f1")}
    )
    return Scored(
        iteration=60, is_best=True, scores=scores, intervals=spans, sets=sets, kind="to_cartoon", n=n
    )


def summary_of(runs: Sequence[RunRecord], kids: Sequence[float | None], **more: Any) -> Summary:
    """Say that these runs scored so; None: not scored."""
    found = [None if kid is None else scored(kid, **more) for kid in kids]
    return Summary("sweep", runs, found, ["" if each else "has no checkpoint yet" for each in found])


def sweep_of(root: Path, values: Sequence[float]) -> list[RunRecord]:
    """Write a sweep over the weight of `tv`, and read it."""
    return [
        read_run(run_folder(root, f"{i}_whitebox", f"method.weights.tv={v}")) for i, v in enumerate(values)
    ]


def noise(seed: int, side: int = 64) -> Image.Image:
    """A picture that JPEG can do nothing for."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def grid_of(runs: int, photos: int, side: int = 64) -> Grid:
    """Noise, painted as other noise by every run."""
    painted = {run: [noise(1000 * run + i + 1, side) for i in range(photos)] for run in range(runs)}
    return Grid([noise(-1 - i + 10**6, side) for i in range(photos)], painted, "photo", "Validation photos.")
