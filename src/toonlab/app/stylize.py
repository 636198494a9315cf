"""`src/stylize.py`: paint a file or a folder."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig

from toonlab import images
from toonlab.app.setup import device_named, quiet
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.inference.batch import plan, stylize_all
from toonlab.inference.before_after import before_after
from toonlab.inference.stylizer import OutputFilter, Stylizer

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Paint `cfg.input` into `cfg.output`; exits with 1 if any file failed, with 130 after Ctrl-C.

    Raises:
        UsageError: nothing can be painted as asked; no file was touched.
    """
    quiet()
    loaded = load_generator(Path(cfg.ckpt).expanduser(), average=cfg.average)
    known = loaded.painting.get("output_filter")
    stylizer = Stylizer(
        loaded.generator,
        multiple=getattr(loaded.generator, "multiple", 1),
        output_filter=OutputFilter(**known) if known else None,
        strength=cfg.strength,
        tile=cfg.tile,
        device=device_named(cfg.device),
    )
    sheet = _sheet(cfg)
    todo = plan(Path(cfg.input).expanduser(), Path(cfg.output).expanduser(), overwrite=cfg.overwrite)
    outcome = stylize_all(stylizer, todo, progress=True)
    log.info("%s", outcome.summary())
    if sheet and outcome.pairs:
        images.save(before_after(outcome.pairs), sheet)
        log.info("before and after: %s", sheet)
    if outcome.interrupted or outcome.failed:
        sys.exit(130 if outcome.interrupted else 1)


def _sheet(cfg: DictConfig) -> Path | None:
    if not cfg.sheet:
        return None
    path = Path(cfg.sheet).expanduser()
    if path.suffix.lower() not in images.EXTENSIONS:
        raise UsageError(f"sheet={path} is not the name of an image: try {path.with_suffix('.png')}")
    if path.exists() and not cfg.overwrite:
        raise UsageError(f"sheet={path} is there already: name another file, or say overwrite=true")
    return path
