"""`src/stylize.py`: paint a file or a folder."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from toonlab import images
from toonlab.app.camera import is_camera, watch
from toonlab.app.film import film_encoding, with_films, without_films
from toonlab.app.painter import painter, settle_network, stylizer
from toonlab.app.painting import check_counts, encoding, paint_all, painting_settings
from toonlab.app.setup import device_named, quiet
from toonlab.errors import UsageError
from toonlab.heap import keep_freed_pictures
from toonlab.inference.before_after import before_after
from toonlab.inference.film.formats import is_film
from toonlab.inference.film.planning import plan_with_films
from toonlab.inference.planning import Plan, plan

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Paint `cfg.input` into `cfg.output`; exits with 1 if any file failed, with 130 after Ctrl-C.

    Raises:
        UsageError: nothing can be painted as asked; no file was touched.
    """
    quiet()
    settle_network(cfg)
    _settle_output(cfg)
    films, pictures = film_encoding(cfg), encoding(cfg)  # a wrong word is refused before anything is loaded
    check_counts(cfg)
    sheet = _sheet(cfg)
    todo = None if is_camera(cfg.input) else _todo(cfg)  # a wrong name too
    if todo is None or any(is_film(job.source) for job in todo.jobs):
        keep_freed_pictures()  # frames are of one size; of tiles and sizes of all kinds, pieces pile up
    # A method without weights works on whole pictures in bounded memory.
    tile = cfg.tile if "method" not in cfg else None
    loaded = painter(cfg)
    if loaded.origin:
        log.info("weights of %(file)s (%(kind)s, sha256 %(sha256).12s); licence: %(licence)s", loaded.origin)
    device = device_named(cfg.device)
    settings = painting_settings(cfg, device)
    ready = stylizer(loaded, device=device, tile=tile, strength=cfg.strength, **settings)
    if todo is None:
        watch(cfg, ready)
        return
    outcome = with_films(cfg, ready, todo, lambda photos: paint_all(cfg, ready, photos, pictures), films)
    log.info("%s", outcome.summary())
    if sheet and (pairs := without_films(outcome.pairs)):
        images.save(before_after(pairs), sheet)
        log.info("before and after: %s", sheet)
    if outcome.interrupted or outcome.failed:
        sys.exit(130 if outcome.interrupted else 1)


def _settle_output(cfg: DictConfig) -> None:
    """Name the output after its input, beside it, where it is left out."""
    if not OmegaConf.is_missing(cfg, "output") or is_camera(cfg.input):
        return
    source = Path(cfg.input).expanduser()
    source = source if source.name not in ("", "..") else source.resolve()
    stem = source.stem if source.suffix else source.name
    cfg.output = str(source.with_name(f"{stem}-cartoon{source.suffix}"))
    log.info("output=%s", cfg.output)


def _todo(cfg: DictConfig) -> Plan:
    return plan_with_films(
        Path(cfg.input).expanduser(),
        Path(cfg.output).expanduser(),
        overwrite=cfg.overwrite,
        photos=lambda input, output: plan(input, output, overwrite=cfg.overwrite, format=cfg.format),
    )


def _sheet(cfg: DictConfig) -> Path | None:
    if not cfg.sheet:
        return None
    path = Path(cfg.sheet).expanduser()
    if path.suffix.lower() not in images.EXTENSIONS:
        raise UsageError(f"sheet={path} is not the name of an image: try {path.with_suffix('.png')}")
    if path.exists() and not cfg.overwrite:
        raise UsageError(f"sheet={path} is there already: name another file, or say overwrite=true")
    return path
