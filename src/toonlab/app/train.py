"""`src/train.py`: from a configuration to a run folder."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

from toonlab.app import loggers
from toonlab.app.adopt import adopt, grow
from toonlab.app.checks import FOLDERS, check, check_pairs, check_rate, check_size
from toonlab.app.domains import settle
from toonlab.app.outcome import announce, find, say_what_next, write_result
from toonlab.app.pretrained import begin, prepare_search, start_of
from toonlab.app.ranks import is_first_process, strategy_for
from toonlab.app.resume import alone_in, saved_config
from toonlab.app.setup import make, quiet
from toonlab.data.demo import photographs
from toonlab.data.ignore import read as read_ignore
from toonlab.engine.checkpoint import read
from toonlab.engine.intervals import Interrupt
from toonlab.engine.method import ToonMethod
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError
from toonlab.heap import keep_freed
from toonlab.networks.frozen import Features
from toonlab.sweeps.worker import status_of

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Train what `cfg` describes in Hydra's run folder, or go on with the run at `cfg.resume`.

    Exits with 130 or 143 after a clean stop by Ctrl-C or SIGTERM.

    Raises:
        UsageError: the configuration cannot be run as it is.
    """
    quiet()
    keep_freed()
    if not is_first_process():
        logging.disable(logging.WARNING)  # the first one says it; an error may be this one's own
    folder = Path(HydraConfig.get().runtime.output_dir)
    with alone_in(folder):
        _train(cfg, folder)


def _train(cfg: DictConfig, folder: Path) -> None:
    overrides = HydraConfig.get().overrides.task
    cfg = saved_config(cfg, overrides) if cfg.resume else _settled(cfg)
    check(cfg)
    loggers.settle(cfg, folder)
    method, data, last, done = _built(cfg, overrides, folder)
    callbacks = [make(cfg, f"callbacks.{name}") for name in cfg.callbacks]
    trainer: Trainer = make(
        cfg,
        "trainer",
        callbacks=callbacks,
        logger=False,
        default_root_dir=str(folder),
        **strategy_for(cfg, folder),
    )
    announce(cfg, method, folder, last)
    trainer.loggers = [*loggers.start(cfg, folder, done=done)]

    status: loggers.Status = "failed"
    try:
        trainer.fit(method, data, ckpt_path=str(last) if last else None, weights_only=True)
        status = "finished" if method.iteration >= cfg.iterations else "interrupted"
    except (KeyboardInterrupt, SystemExit) as error:  # a second one, or one before our own handlers are set
        status = "interrupted"
        # Of Ctrl-C Lightning makes exit code 1, and of SIGTERM none, which means success.
        if isinstance(error, SIGTERMException):
            raise SystemExit(128 + signal.SIGTERM) from error
        if isinstance(error, SystemExit) and error.code == 1:
            raise KeyboardInterrupt from error
        raise
    finally:
        if trainer.is_global_zero:
            write_result(folder, cfg, trainer, method, status)
        loggers.finish(trainer.loggers, status)
    if status == "interrupted":
        log.info(
            "Stopped at iteration %d. Go on with:\n  python src/train.py resume=%s", method.iteration, folder
        )
        sys.exit(128 + (find(trainer, Interrupt).received or 0))
    if trainer.is_global_zero:
        say_what_next(method, folder)


def _built(
    cfg: DictConfig, overrides: list[str], folder: Path
) -> tuple[ToonMethod, LightningDataModule, Path | None, int]:
    """Return the method with the weights that it starts from, its data, and see `_prepare`.

    A function of its own, so that whole checkpoints are not held in memory while it trains.
    """
    start = start_of(cfg, overrides)
    trained = adopt(cfg, overrides) if cfg.get("add_domain") and not cfg.resume else None
    last, done = _prepare(folder, cfg)

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
    check_pairs(method, data)
    check_size(cfg, method)
    if trained:
        grow(method, trained, data, cfg.like)
    elif not cfg.resume:
        method.meet(data)
    return method, data, last, done


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


def _prepare(folder: Path, cfg: DictConfig) -> tuple[Path | None, int]:
    """Write the config of a new run, or return the checkpoint of an old one and how far it is.

    Raises:
        UsageError: the folder holds another run, or this one has nothing left to do.
    """
    config, last = folder / "config.yaml", folder / "checkpoints" / "last.ckpt"
    if cfg.resume:
        done = read(last)["toonlab"]["iteration"]
        # Killed after its last save: what is left is result.json.
        unsettled = done >= OmegaConf.load(config).iterations and status_of(folder) != "finished"
        if done >= cfg.iterations and not unsettled:
            raise UsageError(
                f"resume={folder}: already trained its {done} iterations; go on with a larger iterations=…"
            )
        if done < cfg.iterations:
            check_rate(cfg, done)
        if is_first_process():
            write_whole(config, OmegaConf.to_yaml(cfg))  # the new length, for a resume without it
        return last, done
    if is_first_process():
        if config.exists():
            raise UsageError(f"{folder}: holds a run already; use resume={folder}, or another folder")
        write_whole(config, OmegaConf.to_yaml(cfg))
        (folder / "checkpoints").mkdir(exist_ok=True)
    return None, 0


def _calibrate(cfg: DictConfig, method: ToonMethod, folder: Path) -> None:
    """Bring a feature network without a measured scale to the common unit (docs/features.md), once a run."""
    for features in method.modules():
        if isinstance(features, Features) and not features.calibrated:
            scale = cfg.features.scale = features.calibrate(photographs())
            if is_first_process():
                # Kept, for a resume on other hardware would measure something else in the last digits.
                write_whole(folder / "config.yaml", OmegaConf.to_yaml(cfg))
            log.info("%s: calibrated, features.scale=%.6g", features.name, scale)
