"""`src/eval.py` on a method that completes damaged photos: hole-only scores beside three ways anybody has."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from toonlab import images as im
from toonlab.app.bank import bank_for, remember_bank
from toonlab.app.setup import device_named, environment, make
from toonlab.methods.completing import Completing
from toonlab.methods.loaded_inpainting import rebuild_inpainting
from toonlab.metrics.holes import HoleMetrics
from toonlab.metrics.paired_table import PairedTable
from toonlab.representations.inpainting.prefill import prefill

log = logging.getLogger(__name__)

HIGHER_IS_BETTER = {"hole_psnr"}


def ways(method: Completing, photos: Tensor, first: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return each way's cartoons of damaged photos numbered from `first`, the clean ones, the known-mask."""
    result, clean, known = method.completed(photos, first)
    masked = method(photos * known)
    found = {
        "completed": result,
        "cartoonized as it is": masked,
        "telea, then cartoonized": method(prefill(photos, known, "telea")),
        "ns, then cartoonized": method(prefill(photos, known, "ns")),
        "cartoonized, then telea": prefill(masked, known, "telea"),
        "cartoonized, then ns": prefill(masked, known, "ns"),
    }
    return found, clean, known


def score_holes(
    cfg: DictConfig,
    checkpoint: Mapping[str, Any],
    data: Any,
    part: str,
    folder: Path,
    about: Mapping[str, Any],
) -> PairedTable:
    """Damage each photo of a part of `data`, complete it, score it; write `report.json` and `strips.png`.

    Photo i is damaged by kind i mod 5 of `representations.inpainting.holes`, the same at each call.

    Args:
        cfg: says `ckpt`, `holes`, `device`, `rows` (of the picture), `seed`, and the bank of a search.
        checkpoint: as `engine.checkpoint.read` returns it of `cfg.ckpt`.
        data: the data module.
        part: `val`, or else its `test` loaders.
        folder: made if need be.
        about: goes into the report, with the environment.
    """
    seed_everything(cfg.seed, verbose=False)
    device = device_named(cfg.device)
    method = rebuild_inpainting(checkpoint, Path(cfg.ckpt).expanduser()).to(device)
    if method.searching:
        remember_bank(cfg, checkpoint["toonlab"]["config"])
        method.bank = bank_for(cfg, method)
    metrics: HoleMetrics = make(cfg, "holes")
    table = PairedTable({name: name in HIGHER_IS_BETTER for name in metrics.names})
    rows = []
    loader = (data.val_dataloader() if part == "val" else data.test_dataloader())[0]
    wanted = {round(i * (len(loader.dataset) - 1) / max(cfg.rows - 1, 1)) for i in range(cfg.rows)}
    with torch.no_grad():
        for number, photo in enumerate(_one_by_one(loader)):
            found, clean, known = ways(method, photo.to(device), number)
            for way, cartoon in found.items():
                scores = metrics.measure(cartoon, clean, known)[0].tolist()
                table.add(way, str(number), dict(zip(metrics.names, scores, strict=True)))
            if number in wanted:
                shown = photo, photo * known.cpu(), found["completed"], clean
                rows.append([im.to_picture(each[0].cpu()) for each in shown])
    folder.mkdir(parents=True, exist_ok=True)
    im.save(im.sheet(rows, ["photo", "masked", "completed", "clean cartoon"]), folder / "strips.png")
    report = {
        "scores": {
            way: {name: table.values(way, name).tolist() for name in metrics.names} for way in table.ways
        },
        "about": {**about, "kind": "holes", **environment()},
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")  # last: it says "done"
    return table


def _one_by_one(loader: Any) -> Iterator[Tensor]:
    with tqdm(total=len(loader.dataset), desc="completing and scoring", unit="photo") as bar:
        for batch in loader:
            for photo in batch["photo"]:
                yield photo[None]
                bar.update()
