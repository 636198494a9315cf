"""`src/eval.py`: scores of one checkpoint, with their protocol and their baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import seed_everything
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tqdm import tqdm

from toonlab import images as im
from toonlab.app.evaluate_domains import DomainSummary, domains_to_score
from toonlab.app.evaluate_film import score_film
from toonlab.app.evaluate_holes import score_holes
from toonlab.app.painter import painter, stylizer
from toonlab.app.runtime import is_onnx
from toonlab.app.setup import as_plain, device_named, environment, make, quiet
from toonlab.engine.checkpoint import Loaded, read
from toonlab.engine.direction import domains
from toonlab.errors import UsageError
from toonlab.metrics.report import Report

log = logging.getLogger(__name__)

PARTS = ("test", "val", "all")


def run(cfg: DictConfig) -> None:
    """Score `cfg.ckpt`, print the table, and write `report.json` and `before_after.png`.

    A checkpoint of several styles is scored in each, on its own cartoons, into a folder of its name.

    Raises:
        UsageError: the checkpoint or the data cannot be used as asked.
    """
    quiet()
    if cfg.film or cfg.painted:
        _run_film(cfg)
        return
    checkpoint = None if "method" in cfg or is_onnx(cfg) else read(Path(cfg.ckpt).expanduser())
    if checkpoint and (domains := domains_to_score(cfg, checkpoint)):
        _run_domains(cfg, checkpoint, domains)
        return
    loaded = painter(cfg, checkpoint=checkpoint)
    data, part = _data(cfg, loaded)
    folder = _output(cfg)
    about = _who(cfg, loaded) | {
        "part": part,
        "data": OmegaConf.to_container(cfg.data, resolve=True) if "data" in cfg else loaded.config["data"],
    }
    if checkpoint and loaded.config["method"].get("needs_ckpt"):
        table = score_holes(cfg, checkpoint, data, part, folder, about)
        log.info("\n%s\n\nreport: %s", table.text("completed", cfg.holes_by), folder / "report.json")
        return
    report = score(cfg, loaded, data, part, folder, about)
    log.info("\n%s\n\nreport: %s", report.table(), folder / "report.json")


def _run_domains(cfg: DictConfig, checkpoint: Mapping[str, Any], domains: Sequence[str]) -> None:
    folder, reports = _output(cfg), {}
    for domain in domains:
        log.info("%s:", domain)
        loaded = painter(cfg, domain, checkpoint)
        data, part = _data(cfg, loaded, domain)
        about = _who(cfg, loaded) | {"part": part, "domain": domain}
        reports[domain] = score(cfg, loaded, data, part, folder / domain, about, domain)
    summary = DomainSummary(reports, checkpoint)
    log.info("\n%s\n\nreport: %s", summary.table(), folder / "report.json")
    summary.to_json(folder / "report.json", about=_who(cfg, loaded))


def _run_film(cfg: DictConfig) -> None:
    if not cfg.film:
        raise UsageError(f"painted={cfg.painted}: name its source as well, film=FILE")
    if not cfg.painted:
        who = "method" if "method" in cfg else "ckpt"
        score_film(cfg, _output(cfg), {who: as_plain(cfg[who])})
        return
    if "method" in cfg or not OmegaConf.is_missing(cfg, "ckpt") or cfg.temporal != "none":
        raise UsageError("painted=FILE is painted already: leave ckpt, method and temporal out")
    path = Path(cfg.painted).expanduser()
    folder = Path(cfg.output).expanduser() if cfg.output else path.with_name(f"{path.name}.eval")
    if (folder / "report.json").exists():
        raise UsageError(f"output={folder}: holds a report already; name another folder")
    score_film(cfg, folder, {"painted": str(path.resolve())})


def score(
    cfg: DictConfig,
    loaded: Loaded,
    data: Any,
    part: str,
    folder: Path,
    about: Mapping[str, Any],
    domain: str | None = None,
) -> Report:
    """Paint and score a part of `data`; write `report.json` and `before_after.png` into `folder`.

    Args:
        cfg: says `metrics`, `resamples`, `device`, `rows` (of the picture) and `seed`.
        loaded: paints.
        data: the data module.
        part: `val`, or else its `test` loaders.
        folder: made if need be.
        about: goes into the report, with the metrics' settings and the environment.
        domain: of the data's domains the one whose cartoons the painted images should look like.
    """
    seed_everything(cfg.seed, verbose=False)
    device = device_named(cfg.device)
    ready = stylizer(loaded, device=device, tile=None, strength=cfg.get("strength", 1.0))
    suite = make(cfg, "metrics")

    source, target = domains(loaded.painting.get("direction", "to_cartoon"))
    named = (domain,) if domain else ()
    loaders = data.val_dataloader(*named) if part == "val" else data.test_dataloader(*named)
    sources, targets = loaders if source == "photo" else reversed(loaders)
    if reason := suite.lacks(len(sources.dataset), len(targets.dataset)):
        raise UsageError(reason)
    rows: list[list[Image.Image]] = []
    wanted = {round(i * (len(sources.dataset) - 1) / max(cfg.rows - 1, 1)) for i in range(cfg.rows)}
    seen = 0
    for batch in tqdm(sources, desc="painting and scoring", unit="batch"):
        images = batch[source].to(device)
        painted = ready.paint(images)
        suite.add_painted(painted, images)
        shown = [i for i in range(len(images)) if seen + i in wanted]
        rows += [[im.to_picture(images[i]), im.to_picture(painted[i])] for i in shown]
        seen += len(images)
    for batch in tqdm(targets, desc=f"scoring {target}s", unit="batch"):
        suite.add_targets(batch[target].to(device))

    report: Report = suite.compute(resamples=cfg.resamples)
    how = {"kind": f"to_{target}", "metrics": OmegaConf.to_container(cfg.metrics, resolve=True)}
    folder.mkdir(parents=True, exist_ok=True)
    im.save(im.sheet(rows, [source, f"as {target}"]), folder / "before_after.png")
    report.to_json(folder / "report.json", about={**about, **how, **environment()})  # last: it says "done"
    return report


def _data(cfg: DictConfig, loaded: Loaded, domain: str | None = None) -> tuple[Any, str]:
    """Return the data module and the part of it to score."""
    given = "data" in cfg
    if not given and (cfg.photos or cfg.cartoons or cfg.domains):
        raise UsageError("photos=… and cartoons=… need data=unpaired")
    part = cfg.split if cfg.split != "auto" else ("all" if given and "photos" in cfg.data else "test")
    if part not in PARTS:
        raise UsageError(f"split={part}: use one of {', '.join(PARTS)}, or auto")
    if not given:
        if "method" in cfg:
            raise UsageError(
                "method=… has no data of its own: add data=demo, or data=unpaired photos=… cartoons=…"
            )
        if "data" not in loaded.config:
            raise UsageError(
                "imported and exported weights have no data: add data=unpaired photos=… cartoons=…, "
                "or data=demo"
            )
        # A copy, so that the data's own interpolation-free values of the run are what is scored.
        cfg = OmegaConf.create({"data": loaded.config["data"]})
    changes = {"split": "all"} if part == "all" and "photos" in cfg.data else {}
    data = make(cfg, "data", extras=["domain"] if domain else [], **changes)
    return data, part


def _who(cfg: DictConfig, loaded: Loaded) -> dict[str, Any]:
    if "method" in cfg:
        return {"method": OmegaConf.to_container(cfg.method, resolve=True)}
    return {
        "checkpoint": str(Path(cfg.ckpt).expanduser().resolve()),
        "iteration": loaded.iteration,
        "style": loaded.style,
        "weights": "EMA" if cfg.average and not cfg.reverse else "last",
    }


def _output(cfg: DictConfig) -> Path:
    if cfg.output:
        folder = Path(cfg.output).expanduser()
        if (folder / "report.json").exists():
            raise UsageError(f"output={folder}: holds a report already; name another folder")
        return folder
    if "method" in cfg:
        run: Path = Path(cfg.outputs_dir) / HydraConfig.get().runtime.choices["method"]
    else:
        path = Path(cfg.ckpt).expanduser()
        in_a_run = path.parent.name == "checkpoints"
        run = path if path.is_dir() else path.parent.parent if in_a_run else path.parent
    return run / "eval" / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
