"""`src/vote.py`: paint, serve the page, and count what was picked."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from toonlab.app.setup import device_named, quiet
from toonlab.app.voting.entrants import entrants
from toonlab.app.voting.painting import PICTURES, paint_all, photos_in
from toonlab.errors import UsageError
from toonlab.votes.api import Api
from toonlab.votes.manifest import Manifest
from toonlab.votes.server import Server
from toonlab.votes.store import Store

log = logging.getLogger(__name__)

_BEGUN_WITH = ("photos", "mode", "question", "count", "seed", "max_side")
"""Settings that a vote keeps as it was begun."""


def run(cfg: DictConfig) -> None:
    """Paint what is to be voted on and serve the page until Ctrl-C; or, with `cfg.report`, count the votes.

    Exits with 130 if it was interrupted while it painted.

    Raises:
        UsageError: nothing can be voted on as asked, or `cfg.output` holds another vote.
    """
    quiet()
    if cfg.report is not None:
        from toonlab.app.voting.counting import report

        report(cfg)
        return
    if cfg.output is None:
        raise UsageError("output=VOTE_DIR: where shall the vote be kept? Give a new folder, or a vote's")
    store = Store(Path(str(cfg.output)).expanduser().absolute())
    with _alone(store):
        manifest = _manifest(cfg, store)
        try:
            paint_all(manifest, store.tokens(), store.folder, device=device_named(cfg.device), tile=cfg.tile)
        except KeyboardInterrupt:
            log.info("interrupted while painting: the same command goes on from here")
            sys.exit(130)
        if cfg.serve:
            _serve(cfg, store)


def _alone(store: Store) -> FileLock:
    """Return the folder's lock, taken; a killed process leaves none.

    Raises:
        UsageError: another process has it.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"output={store.folder}: another src/vote.py is at work there; raters use its page together"
        ) from None
    return lock


def _manifest(cfg: DictConfig, store: Store) -> Manifest:
    """Return what the vote is about: as begun, or begun now."""
    if cfg.runs is None:
        if not store.exists:
            _tidy(store)
            raise UsageError(f"output={store.folder}: no vote there; begin one with runs=[…] photos=DIR")
        typed = {override.partition("=")[0] for override in HydraConfig.get().overrides.task}
        if more := sorted(typed.intersection(_BEGUN_WITH)):
            raise UsageError(f"{more[0]}=…: without runs=[…] the vote goes on as it was begun; leave it out")
        return store.manifest()
    try:
        if not store.exists and {path.name for path in store.folder.iterdir()} - {
            ".lock",
            f".{store.path.name}.part",
        }:
            raise UsageError(f"output={store.folder}: holds other files and no vote; name a new folder")
        manifest = _asked(cfg)
    except UsageError:
        _tidy(store)
        raise
    if not store.exists:
        store.begin(manifest)
    elif difference := store.manifest().difference(manifest):
        raise UsageError(
            f"output={store.folder} holds another vote ({difference}): name a new folder for this one, "
            f"or go on with that one, python src/vote.py {store.folder}"
        )
    return store.manifest()


def _asked(cfg: DictConfig) -> Manifest:
    models = entrants(cfg.runs)
    folder, photos = photos_in(cfg.photos, count=cfg.count, seed=cfg.seed)
    if int(cfg.max_side) < 64:
        raise UsageError(f"max_side={cfg.max_side}: too small to judge; use at least 64 pixels")
    return Manifest(
        mode=cfg.mode,
        question=str(cfg.question),
        seed=int(cfg.seed),
        max_side=int(cfg.max_side),
        photos_dir=str(folder),
        models=tuple(models),
        photos=photos,
    )


def _tidy(store: Store) -> None:
    """Leave no trace of a vote that could not begin."""
    (store.folder / ".lock").unlink(missing_ok=True)
    if not any(store.folder.iterdir()):
        store.folder.rmdir()


def _serve(cfg: DictConfig, store: Store) -> None:
    server = Server(Api(store), store.folder / PICTURES, host=str(cfg.host), port=int(cfg.port))
    manifest = store.manifest()
    log.info(
        "%d models, %d photos, mode=%s. Vote at  %s  (Ctrl-C ends)",
        *(len(manifest.models), len(manifest.photos), manifest.mode, server.url),
    )
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    with suppress(KeyboardInterrupt), server:
        server.serve_forever(poll_interval=0.2)
    signal.signal(signal.SIGTERM, before)
    for name, done, of in store.progress():
        log.info("  %s: %d of %d", name, done, of)
    log.info(
        "go on:  python src/vote.py %s\ncount:  python src/vote.py report %s", store.folder, store.folder
    )
