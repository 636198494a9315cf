"""Many files side by side: threads decode and encode while the network paints."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from tqdm import tqdm

from toonlab import heap
from toonlab.inference import cartoon_file, photo_file
from toonlab.inference.batch import Outcome, part_bar, reason
from toonlab.inference.cartoon_file import Encoding
from toonlab.inference.photo_file import Photo
from toonlab.inference.planning import Job, Plan
from toonlab.inference.stylizer import Stylizer

log = logging.getLogger(__name__)


class _Read(NamedTuple):
    job: Job
    photo: Photo
    dtype: Any

    @property
    def kind(self) -> Any:
        """What photos must share to be painted together: size and numbers; an animation shares nothing."""
        if self.photo.animated:
            return self.job
        return (next(self.photo.frames()).rgb.shape, self.dtype)


def stylize_piped(
    stylizer: Stylizer, plan: Plan, *, progress: bool, encoding: Encoding, workers: int, batch: int = 1
) -> Outcome:
    """Paint what was planned: as `stylize_all`, with the same files, failures and order, but faster.

    At most `workers + batch` photos are decoded ahead and `workers` cartoons wait to be encoded, so memory
    does not grow with their number. On Ctrl-C encodings that have begun are finished, the rest remains to do.

    Args:
        stylizer: paints, in this thread.
        plan: what to do.
        progress: show bars.
        encoding: of the cartoons.
        workers: threads that decode and encode, 1 or more.
        batch: consecutive photos of one size that are painted together, at most.
    """
    outcome = Outcome(plan=plan)
    writing: deque[tuple[Job, Future[None]]] = deque()
    with (
        ThreadPoolExecutor(workers, thread_name_prefix="toonlab-files") as pool,
        tqdm(total=len(plan.jobs), desc="stylize", unit="file", disable=not progress) as bar,
    ):
        try:
            for group in _groups(_decoded(pool, outcome, bar, encoding, workers + batch), batch):
                for one, cartoon in _painted(stylizer, group, outcome, bar, encoding, progress):
                    write = partial(cartoon_file.write_photo, cartoon, one.job.target, encoding=encoding)
                    writing.append((one.job, pool.submit(write)))
                heap.give_back()  # else pieces of all sizes pile up
                while len(writing) > workers:
                    _settle(*writing.popleft(), outcome, bar)
            while writing:
                _settle(*writing.popleft(), outcome, bar)
        except KeyboardInterrupt:
            outcome.interrupted = True
            pool.shutdown(wait=True, cancel_futures=True)
            for job, future in writing:
                _settle(job, future, outcome, bar)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    painted = {job.target: i for i, job in enumerate(plan.jobs)}
    outcome.painted.sort(key=painted.__getitem__)  # animations are written as they are painted
    return outcome


def _decoded(
    pool: ThreadPoolExecutor, outcome: Outcome, bar: Any, encoding: Encoding, ahead: int
) -> Iterator[_Read]:
    """Yield decoded photos in order, decoding a few ahead; those that cannot be decoded are noted."""
    coming: deque[tuple[Job, Future[_Read]]] = deque()
    todo = iter(outcome.plan.jobs)
    while True:
        while len(coming) < ahead and (job := next(todo, None)):
            coming.append((job, pool.submit(_read, job, encoding)))
        if not coming:
            return
        job, future = coming.popleft()
        try:
            read = future.result()
        except Exception as error:
            _failed(outcome, bar, job, error)
        else:
            yield read


def _read(job: Job, encoding: Encoding) -> _Read:
    photo = photo_file.read(job.source, job.target)
    cartoon_file.check_holds(photo, job.source, job.target)
    return _Read(job, photo, encoding.dtype(job.target, photo))


def _groups(photos: Iterator[_Read], most: int) -> Iterator[list[_Read]]:
    """Yield neighbours that can be painted together, `most` at a time."""
    group: list[_Read] = []
    for photo in photos:
        if group and (len(group) == most or photo.kind != group[0].kind):
            yield group
            group = []
        group.append(photo)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def _painted(
    stylizer: Stylizer,
    group: list[_Read],
    outcome: Outcome,
    bar: Any,
    encoding: Encoding,
    progress: bool,
) -> Iterator[tuple[_Read, Photo]]:
    """Paint a group; animations are written at once, frame by frame, the others are to be."""
    for one in group:
        if one.photo.lacking:
            outcome.lacking[one.job.source] = one.photo.lacking
    height, width = next(group[0].photo.frames()).rgb.shape[:2] if len(group) > 1 else (0, 0)
    if len(group) > 1 and stylizer.at_once(height, width):  # tiles are painted one by one anyway
        try:
            cartoons = stylizer.paint_together([one.photo for one in group], dtype=group[0].dtype)
        except Exception:  # of which one is not known: each has another chance, alone
            log.debug("a batch of %d failed", len(group), exc_info=True)
        else:
            yield from zip(group, cartoons, strict=True)
            return
    for one in group:
        try:
            with part_bar(one.job.source.name, "tile", progress) as on_part:
                cartoon = stylizer.paint_photo(one.photo, on_part, dtype=one.dtype)
                if cartoon.animated:
                    cartoon_file.write_photo(cartoon, one.job.target, encoding=encoding)
        except Exception as error:  # any file's trouble, MemoryError included, is that file's alone
            _failed(outcome, bar, one.job, error)
            continue
        if cartoon.animated:
            outcome.painted.append(one.job.target)
            bar.update()
        else:
            yield one, cartoon


def _settle(job: Job, future: Future[None], outcome: Outcome, bar: Any) -> None:
    try:
        future.result()
    except CancelledError:
        return  # interrupted before it began: remains to do
    except Exception as error:
        _failed(outcome, bar, job, error)
    else:
        outcome.painted.append(job.target)
        bar.update()


def _failed(outcome: Outcome, bar: Any, job: Job, error: Exception) -> None:
    log.debug("%s failed", job.source, exc_info=error)
    outcome.failed[job.source] = reason(error)
    outcome.lacking.pop(job.source, None)
    bar.update()
