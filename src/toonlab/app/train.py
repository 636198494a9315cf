"""`src/train.py`: from a configuration to a run folder."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf

from toonlab.app import wandb_run
from toonlab.app.adopt import adopt, grow
from toonlab.app.domains import learns_many, settle
from toonlab.app.memory import keep_freed
from toonlab.app.precision import check_precision
from toonlab.app.pretrained import begin, prepare_search, start_of
from toonlab.app.resume import saved_config
from toonlab.app.setup import environment, make, quiet
from toonlab.data.demo import photographs
from toonlab.data.ignore import read as read_ignore
from toonlab.engine.checkpoint import Checkpoints, read
from toonlab.engine.intervals import Interrupt
from toonlab.engine.method import ToonMethod
from toonlab.engine.records import Records
from toonlab.errors import UsageError
from toonlab.networks.frozen import Features

log = logging.getLogger(__name__)

FOLDERS = ("photos", "cartoons", "source", "val_photos", "val_cartoons", "val_source")
"""Keys that name folders of the user's."""


def run(cfg: DictConfig) -> None:
    """Train what `cfg` describes in Hydra's run folder, or go on with the run at `cfg.resume`.

    Exits with 130 or 143 after a clean stop by Ctrl-C or SIGTERM.

    Raises:
        UsageError: the configuration cannot be run as it is.
    """
    quiet()
    keep_freed()
    folder = Path(HydraConfig.get().runtime.output_dir)
    overrides = HydraConfig.get().overrides.task
    cfg = saved_config(cfg, overrides) if cfg.resume else _settled(cfg)
    _check(cfg)
    start = start_of(cfg, overrides)
    trained = adopt(cfg, overrides) if cfg.get("add_domain") and not cfg.resume else None
    last = _prepare(folder, cfg)

    seed_everything(cfg.seed, verbose=False)
    method = make(cfg, "method")
    if not isinstance(method, ToonMethod):
        raise UsageError(f"{type(method).__name__} learns nothing: draw with src/stylize.py method=…")
    if start:
        begin(method, start, cfg.ckpt)
    prepare_search(cfg, method, last)
    _calibrate(cfg, method, folder)
    whole: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    method.config = {key: whole[key] for key in ("method", "data", "iterations", "seed")}
    method.config["name"] = HydraConfig.get().runtime.choices["method"]
    method.config["paired_terms"] = method.needs_pairs
    if method.completes:
        method.config |= {key: whole[key] for key in ("bank", "bank_size")}
    data: LightningDataModule = make(cfg, "data", extras=list(method.extras))
    _check_pairs(method, data)
    _check_size(cfg, method)
    if trained:
        grow(method, trained, data, cfg.like)
    elif not cfg.resume:
        method.meet(data)
    callbacks = [make(cfg, f"callbacks.{name}") for name in cfg.callbacks]
    logger = wandb_run.start(cfg, folder)
    trainer: Trainer = make(
        cfg, "trainer", callbacks=callbacks, logger=logger or False, default_root_dir=str(folder)
    )
    _announce(cfg, method, folder, last)

    status = "failed"
    try:
        trainer.fit(method, data, ckpt_path=str(last) if last else None, weights_only=True)
        status = "finished" if method.iteration >= cfg.iterations else "interrupted"
    finally:
        if trainer.is_global_zero:
            _write_result(folder, cfg, trainer, method, status)
        wandb_run.finish(logger, exit_code=0 if status == "finished" else 1)
    if not trainer.is_global_zero:
        return
    if status == "interrupted":
        log.info(
            "Stopped at iteration %d. Go on with:\n  python src/train.py resume=%s", method.iteration, folder
        )
        sys.exit(128 + (_find(trainer, Interrupt).received or 0))
    if method.completes:
        log.info(
            "Finished %d iterations. Score it, then complete damaged photos with it:\n"
            "  python src/eval.py ckpt=%s\n"
            "  python src/inpaint.py ckpt=%s input=PHOTOS mask=MASKS output=COMPLETED",
            method.iteration,
            folder,
            folder,
        )
        return
    log.info(
        "Finished %d iterations. Score it, then paint with it:\n"
        "  python src/eval.py ckpt=%s\n  python src/stylize.py ckpt=%s %sinput=PHOTOS output=CARTOONS",
        method.iteration,
        folder,
        folder,
        f"style={method.trained[-1]} " if method.trained else "",
    )


def _settled(cfg: DictConfig) -> DictConfig:
    """Make folders independent of where the command was typed: a run may be resumed from elsewhere."""
    settle(cfg)
    for key in (*FOLDERS, "ckpt", "bank", "outputs_dir", "cache_dir"):
        if cfg[key] is not None:
            cfg[key] = _absolute(cfg[key])
    for key in ("domains", "val_domains"):
        if cfg[key] is not None:
            cfg[key] = {name: _absolute(folder) for name, folder in cfg[key].items()}
    if ignore := read_ignore(OmegaConf.to_container(cfg.data, resolve=True).get("ignore")):  # type: ignore[union-attr]
        # Its boxes rather than the file's name: what a run learns from does not change with a file.
        cfg.data.ignore = ignore.plain()
    return cfg


def _absolute(path: object) -> str:
    return str(Path(str(path)).expanduser().absolute())


def _check(cfg: DictConfig) -> None:
    for key in ("iterations", "log_every", "eval_every", "save_every"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise UsageError(f"{key}={cfg[key]}: a whole number of iterations, 1 or more")
    for key in FOLDERS:
        if cfg[key] is not None and key not in cfg.data:
            fits = "data=paired layout=concat" if "source" in key else "data=unpaired, or data=paired"
            if learns_many(cfg):
                fits = "data=multidomain domains={NAME: DIR, OTHER: DIR}"
            raise UsageError(f"{key}=… is not used by this data set; add {fits}")
    if cfg.layout != "folders" and "layout" not in cfg.data:
        raise UsageError(f"layout={cfg.layout} is not used by this data set; add data=paired source=DIR")
    accelerator = cfg.trainer.get("accelerator", "auto")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"trainer.accelerator={accelerator}: torch sees no GPU on this machine; use trainer=cpu"
        )
    check_precision(cfg)
    _check_preset(cfg)
    if accelerator == "cpu" and torch.cuda.is_available():
        log.info("This machine has a GPU; trainer=gpu would use it.")


def _check_rate(cfg: DictConfig, begun: int) -> None:
    lr = cfg.method.get("lr", 1.0)
    rate = make(cfg, "method.lr") if isinstance(lr, DictConfig) else lr
    if callable(rate) and rate(begun) == 0 and rate(cfg.iterations - 1) == 0:
        raise UsageError(
            f"iterations={cfg.iterations}: method.lr has fallen to 0 by iteration {begun}, so nothing more "
            "is learnt; start a new run with the larger number: its learning rate falls later"
        )


def _check_pairs(method: ToonMethod, data: LightningDataModule) -> None:
    if method.needs_pairs and not getattr(data, "paired", False):
        name = HydraConfig.get().runtime.choices["method"]
        raise UsageError(
            f"method={name} learns from photos with their own cartoons ({', '.join(method.needs_pairs)}): "
            "use data=paired photos=DIR cartoons=DIR, or set their weights to 0, as in gan_v1 and cyclegan"
        )


def _check_preset(cfg: DictConfig) -> None:
    """Refuse weights that belong to another method, which might have terms of the same names."""
    method, preset = HydraConfig.get().runtime.choices["method"], cfg.get("preset")
    if preset and method not in preset.methods:
        right = " or ".join(f"method={name}" for name in preset.methods)
        raise UsageError(f"preset={preset.name} is for {right}, not for method={method}")


def _check_size(cfg: DictConfig, method: ToonMethod) -> None:
    multiple = getattr(method.generator, "multiple", 1)
    if (size := cfg.data.get("size")) and size % multiple:
        near = max(1, round(size / multiple)) * multiple
        raise UsageError(
            f"data.size={size}: this generator takes multiples of {multiple}, {near} for instance"
        )


def _prepare(folder: Path, cfg: DictConfig) -> Path | None:
    """Write the config of a new run, or return the checkpoint of an old one.

    Raises:
        UsageError: the folder holds another run, or this one has nothing left to do.
    """
    config, last = folder / "config.yaml", folder / "checkpoints" / "last.ckpt"
    if cfg.resume:
        done = read(last)["toonlab"]["iteration"]
        if done >= cfg.iterations:
            raise UsageError(
                f"resume={folder}: already trained its {done} iterations; go on with a larger iterations=…"
            )
        _check_rate(cfg, done)
        if _is_first_process():
            config.write_text(OmegaConf.to_yaml(cfg))  # the new length, for a resume without it
        return last
    if _is_first_process():
        if config.exists():
            raise UsageError(f"{folder}: holds a run already; use resume={folder}, or another folder")
        config.write_text(OmegaConf.to_yaml(cfg))
        (folder / "checkpoints").mkdir(exist_ok=True)
    return None


def _is_first_process() -> bool:
    """Whether no launcher numbered this process above 0; known before there is a Trainer."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("SLURM_PROCID", "0") == "0"


def _calibrate(cfg: DictConfig, method: ToonMethod, folder: Path) -> None:
    """Bring a feature network without a measured scale to the common unit (docs/features.md), once a run."""
    for features in method.modules():
        if isinstance(features, Features) and not features.calibrated:
            scale = cfg.features.scale = features.calibrate(photographs())
            if _is_first_process():
                # Kept, for a resume on other hardware would measure something else in the last digits.
                (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
            log.info("%s: calibrated, features.scale=%.6g", features.name, scale)


def _announce(cfg: DictConfig, method: ToonMethod, folder: Path, last: Path | None) -> None:
    size = sum(p.numel() for p in method.generator.parameters())
    log.info(
        "%s: generator of %s parameters, %s iterations, run folder %s",
        type(method).__name__,
        f"{size:,}",
        f"{cfg.iterations:,}",
        folder,
    )
    for domain, facts in method.facts().get("domains", {}).items():
        log.info(
            "  %-16s %s parameters, %.2f %% of the plain generator's%s",
            domain,
            f"{facts['parameters']:,}",
            100 * facts["share"],
            "" if domain in method.trained else " (frozen)",
        )
    if last:
        log.info("Going on from %s", last)


def _write_result(folder: Path, cfg: DictConfig, trainer: Trainer, method: ToonMethod, status: str) -> None:
    records, best = _find(trainer, Records), _find(trainer, Checkpoints)
    result = {
        "status": status,
        "method": type(method).__name__,
        "iterations": method.iteration,
        "seconds": round(records.seconds, 3),
        "images_per_second": round(records.images / records.seconds, 3) if records.seconds else None,
        "validation": {"iteration": method.scored_at, **method.scores},
        "best": {"iteration": best.best_iteration, method.monitor or best.monitor: best.best_score},
        "generator_parameters": sum(p.numel() for p in method.generator.parameters()),
        **method.facts(),
        "seed": cfg.seed,
        **environment(),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def _find(trainer: Trainer, kind: type[Any]) -> Any:
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))  # type: ignore[attr-defined]
