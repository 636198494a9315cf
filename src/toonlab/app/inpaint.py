"""`src/inpaint.py`: cartoons of damaged photos, a file or a folder."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from toonlab.app.completer import completer
from toonlab.app.prepare.journal import Journal
from toonlab.app.setup import device_named, make, quiet
from toonlab.errors import UsageError
from toonlab.inference.inpaint_files import InpaintFiles, check_names
from toonlab.inference.inpainter import Inpainter
from toonlab.inference.masks import Masks
from toonlab.inference.planning import Plan, plan
from toonlab.inference.stylizer import Stylizer
from toonlab.metrics.holes import HoleMetrics

log = logging.getLogger(__name__)

RESULTS = "results.csv"


def run(cfg: DictConfig) -> None:
    """Complete `cfg.input` into `cfg.output`; exits with 1 if any file failed, with 130 after Ctrl-C.

    Raises:
        UsageError: nothing can be completed as asked; no file was touched.
    """
    quiet()
    todo, masks = _planned(cfg)
    device = device_named(cfg.device)
    method = completer(cfg, device)
    metrics: HoleMetrics = make(cfg, "holes")
    columns = ["photo", "mask", "missing", "seconds", *metrics.names]
    output = Path(cfg.output).expanduser()
    _check_results(output / RESULTS, columns)

    def measure(result: Tensor, clean: Tensor, known: Tensor) -> dict[str, float]:
        scores = metrics.measure(result.to(device), clean.to(device), known.to(device))
        return dict(zip(metrics.names, scores[0].tolist(), strict=True))

    output.mkdir(parents=True, exist_ok=True)
    journal = Journal(output / RESULTS, columns)
    files = InpaintFiles(
        Inpainter(method, multiple=method.painter.multiple, largest=cfg.max_side, device=device),
        Stylizer(
            method.painter, multiple=method.painter.multiple, output_filter=None, tile=None, device=device
        ),
        masks,
        candidates=cfg.candidates,
        measure=measure,
        record=journal.add,
    )
    try:
        outcome = files.all(todo, progress=True)
    finally:
        journal.close(sorted(journal.rows))
    for photo in files.whole:
        log.info("%s: its mask is empty, so this is its plain cartoon", photo)
    if files.fewest < cfg.candidates:
        log.info("candidates=%d: there were %d to choose from", cfg.candidates, files.fewest)
    log.info("%s\n%s", outcome.summary(), output / RESULTS)
    if outcome.interrupted or outcome.failed:
        sys.exit(130 if outcome.interrupted else 1)


def _planned(cfg: DictConfig) -> tuple[Plan, Masks]:
    source, output = Path(cfg.input).expanduser(), Path(cfg.output).expanduser()
    if not isinstance(cfg.candidates, int) or cfg.candidates < 1:
        raise UsageError(f"candidates={cfg.candidates}: a whole number, 1 or more")
    if not output.is_dir() and output.suffix:
        raise UsageError(f"output={output}: several files are written for each photo; name a folder")
    todo = plan(source, output, overwrite=cfg.overwrite, png=True)
    check_names((*todo.existing, *todo.jobs), cfg.candidates)
    masks = Masks(
        str(cfg.mask),
        photos=source if source.is_dir() else source.parent,
        seed=cfg.seed,
        resize=cfg.mask_resize,
        options={},
    )
    if not masks.made_up and source.is_dir() and masks.path.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            f"mask={cfg.mask} lies within input={source}, so it would be taken for photos: move it"
        )
    if unused := masks.unused([job.source for job in (*todo.existing, *todo.jobs)]):
        log.warning("mask=%s: %d masks belong to no photo, such as %s", cfg.mask, len(unused), unused[0].name)
    return todo, masks


def _check_results(path: Path, columns: list[str]) -> None:
    """Refuse to write over a table that is not ours."""
    if path.is_file() and path.read_text(errors="replace").partition("\n")[0] != ",".join(columns):
        raise UsageError(f"output: {path} is there already and has other columns: name another folder")
