"""The films among what `stylize.py` paints."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from toonlab.errors import check_choice
from toonlab.inference.batch import OnPart, Outcome, each_job
from toonlab.inference.film import BadFilmError, Encoding, FilmOutcome, paint_film
from toonlab.inference.film.formats import is_film
from toonlab.inference.film.temporal import KINDS
from toonlab.inference.planning import Job, Plan
from toonlab.inference.stylizer import Stylizer

log = logging.getLogger(__name__)


def film_encoding(cfg: DictConfig) -> Encoding:
    """Read how films are written.

    Raises:
        UsageError: not so.
    """
    check_choice("temporal", cfg.temporal, KINDS)
    return Encoding(codec=cfg.codec, crf=cfg.crf, pixels=cfg.pixels, segment=cfg.segment)


def with_films(
    cfg: DictConfig,
    stylizer: Stylizer,
    todo: Plan,
    photos: Callable[[Plan], Outcome],
    encoding: Encoding,
) -> Outcome:
    """Paint the photos of a plan, then its films.

    Args:
        cfg: says `temporal` and `overwrite`.
        stylizer: paints.
        todo: of both kinds.
        photos: paints a plan of photos.
        encoding: how films are written.
    """
    films = tuple(job for job in todo.jobs if is_film(job.source))
    if not films:
        return photos(todo)
    outcome = photos(dataclasses.replace(todo, jobs=tuple(job for job in todo.jobs if job not in films)))
    outcome.plan = todo
    if outcome.interrupted:
        return outcome

    def paint(job: Job, on_part: OnPart) -> None:
        def on_frame(done: int, total: int | None) -> None:
            on_part(done, total or 0)

        _report(
            job,
            paint_film(
                stylizer,
                job.source,
                job.target,
                temporal=cfg.temporal,
                overwrite=cfg.overwrite,
                on_frame=on_frame,
                encoding=encoding,
            ),
        )

    painted = each_job(
        paint, Outcome(plan=dataclasses.replace(todo, jobs=films)), what="films", part="frame", progress=True
    )
    outcome.painted += painted.painted
    outcome.failed |= painted.failed
    outcome.interrupted = painted.interrupted
    return outcome


def without_films(pairs: Sequence[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Return the photos' pairs, for a page of pictures."""
    return [pair for pair in pairs if not is_film(pair[0])]


def _report(job: Job, outcome: FilmOutcome) -> None:
    """Say what there is to know of a painted film.

    Raises:
        BadFilmError: a part of it is missing.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    for note in outcome.notes:
        log.info("%s: %s", job.target.name, note)
    if job.source.suffix.lower() != job.target.suffix.lower():
        log.info("%s: written as %s", job.source.name, job.target)
    of = f" of {outcome.total}" if outcome.total else ""
    if outcome.resumed:
        log.info("%s: %d frames were painted already", job.target.name, outcome.resumed)
    if outcome.interrupted:
        if outcome.frames:
            log.info("%s plays: %d%s frames are painted", job.target, outcome.frames, of)
        raise KeyboardInterrupt
    if outcome.missing:
        raise BadFilmError(f"damaged: {outcome.missing}; {job.target} holds what could be painted")
