"""Which films become which; photos among them are planned as ever."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

from toonlab.errors import UsageError
from toonlab.inference.film.formats import EXTENSIONS, WRITTEN, is_film, parts_of
from toonlab.inference.photo_file import READABLE
from toonlab.inference.planning import Job, Plan, listed

PlanPhotos = Callable[[Path, Path], Plan]


def plan_with_films(input: Path, output: Path, *, overwrite: bool, photos: PlanPhotos) -> Plan:
    """Decide for photos and films which file becomes which; touches nothing.

    Films keep their names and folders; those of a container that is not written become .mp4. A target is
    there already unless it is the beginning of a film, see `parts_of`: then it is to be painted on.

    Args:
        input: a film, a photo, or a folder of both.
        output: where the targets go.
        overwrite: plan targets anew that are there already.
        photos: plans the photos of `input`.

    Raises:
        UsageError: see `planning.plan`; or a film cannot become what `output` names.
    """
    films = _films(input, output)
    if not films:
        return photos(input, output)
    if not input.is_dir():
        targets = [_one(input, output)]
        plan = Plan(jobs=(), existing=(), renamed=(), ignored=0)
    else:
        if output.suffix and not output.is_dir() and (is_film(output) or output.is_file()):
            raise UsageError(f"output={output} names a file but input={input} is a folder: name a folder")
        plan = _beside(input, output, len(films), photos)
        targets = _targets([output / film.relative_to(input) for film in films])
    sources = {film.resolve() for film in films}
    if any(target.resolve() in sources for target in targets):
        raise UsageError(f"output={output} would overwrite films of input={input}: choose another output")
    jobs = [Job(source=s, target=t) for s, t in zip(films, targets, strict=True)]
    done = [job.target.is_file() and not overwrite and not parts_of(job.target).exists() for job in jobs]
    return dataclasses.replace(
        plan,
        jobs=(*plan.jobs, *itertools.compress(jobs, (not there for there in done))),
        existing=(*plan.existing, *itertools.compress(jobs, done)),
    )


def _films(input: Path, output: Path) -> list[Path]:
    if not input.is_dir():
        return [input] if input.exists() and is_film(input) else []
    return [
        path
        for path in listed(input, output)
        if is_film(path) and not any(part.endswith(".part") for part in path.relative_to(input).parts[:-1])
    ]


def _beside(input: Path, output: Path, films: int, photos: PlanPhotos) -> Plan:
    """Return the plan of the photos in a folder of films, of which there may be none."""
    files = listed(input, output)
    if not any(path.suffix.lower() in READABLE for path in files):
        return Plan(jobs=(), existing=(), renamed=(), ignored=len(files) - films)
    plan = photos(input, output)
    return dataclasses.replace(plan, ignored=max(0, plan.ignored - films))


def _one(source: Path, output: Path) -> Path:
    if output.is_dir() or not output.suffix:
        return _targets([output / source.name])[0]
    if output.suffix.lower() not in WRITTEN:
        known = " ".join(sorted(WRITTEN))
        hint = f"; {output.with_suffix('.mp4').name}, say" if output.suffix.lower() in EXTENSIONS else ""
        raise UsageError(f"output={output}: a film becomes a film ({known}) or goes into a folder{hint}")
    return output


def _targets(wanted: list[Path]) -> list[Path]:
    """Return a target of its own for each film: as wanted if its container is written, else .mp4."""
    taken = {target for target in wanted if target.suffix.lower() in WRITTEN}
    targets = []
    for target in wanted:
        if target.suffix.lower() not in WRITTEN:
            names = (target.with_suffix(".mp4"), target.with_name(f"{target.name}.mp4"))
            target = next(name for name in names if name not in taken)
            taken.add(target)
        targets.append(target)
    return targets
