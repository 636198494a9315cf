"""`src/prepare.py frames`: training pictures out of films."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from toonlab import images
from toonlab.app.prepare.journal import checked, state_of, write_table
from toonlab.app.prepare.output import claim
from toonlab.app.setup import make, quiet
from toonlab.data.contact import contact_sheet, thinned
from toonlab.data.film import EXTENSIONS, Film, FilmError
from toonlab.data.frames import Taking, link, read, take
from toonlab.data.hashes import BITS, near_pairs
from toonlab.errors import UsageError, check_choice

log = logging.getLogger(__name__)

COLUMNS = ("file", "film", "seconds", "shot", "sharpness", "hash")
KEPT = ".films"  # below the output: each film's candidates, so that films may come and go
_SHOWN = 40  # frames on the sheet


def run(cfg: DictConfig) -> None:
    """Take frames from the films of `cfg.source` into `cfg.output`; exits with 1 if a film failed.

    Raises:
        UsageError: no film, a wrong setting, or `output` was made with other settings.
    """
    quiet()
    films, root = _films(cfg.source)
    taking, workers = _taking(cfg), checked(cfg.workers)
    settings = {"task": "frames", "source": str(root)}
    keys = ("near", "bars", "subtitles", "subtitle_rate", "format", "quality", "sampling")
    settings |= {key: cfg[key] for key in keys}
    output = claim(cfg.output, settings=settings, sources={"source": root})
    names = _names(films, root)
    found = dict(_taken(films, names, output, taking, workers))
    rows, dropped, failed = list[dict[str, object]](), list[tuple[str, str, int]](), dict[Path, str]()
    for film in films:
        answer, name = found[film], names[film]
        dropped += [(name, reason, count) for reason, count in answer["dropped"].items()]
        if "error" in answer:
            failed[film] = answer["error"]
        elif answer["damaged"]:
            failed[film] = f"damaged: {answer['damaged']} packets cannot be decoded; the others were used"
        for frame in answer["frames"]:
            rows.append({"file": f"{name}/{frame['name']}", "film": name} | frame)
    near = _near(rows, cfg.near)
    dropped += [(film, "near-duplicate", n) for film, n in Counter(str(row["film"]) for row in near).items()]
    rows = [row for row in rows if row not in near]
    _lay(rows, output, set(names.values()))
    slim = [{column: row[column] for column in COLUMNS} for row in rows]
    write_table(output / "frames.csv", COLUMNS, slim)
    table = [{"film": film, "reason": reason, "count": count} for film, reason, count in sorted(dropped)]
    table += [{"film": names[film], "reason": why, "count": 1} for film, why in failed.items()]
    write_table(output / "dropped.csv", ("film", "reason", "count"), table)
    if rows:
        shown = [str(row["file"]) for row in thinned(rows, _SHOWN)]
        sheet = contact_sheet([(images.decode(output / file).rgb, file) for file in shown])
        images.save(sheet, output / "sheet.png")
    log.info("%d frames of %d films in %s", len(rows), len(films) - len(failed), output)
    reasons = Counter[str]()
    for _, reason, count in dropped:
        reasons[reason] += count
    for reason, count in reasons.most_common():
        log.info("  %6d dropped: %s", count, reason)
    log.info("look at them: %s", output / "sheet.png")
    if failed:
        log.info("failed:\n%s", "\n".join(f"  {film}: {why}" for film, why in failed.items()))
        sys.exit(1)


def _films(source: str) -> tuple[list[Path], Path]:
    path = Path(source).expanduser().absolute()
    if path.is_file():
        return [path], path
    if not path.is_dir():
        raise UsageError(f"source={source} does not exist; pass a film, or a folder of films")
    films = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in EXTENSIONS and file.is_file() and not file.name.startswith(".")
    )
    if not films:
        kinds = " ".join(sorted(extension.removeprefix(".") for extension in EXTENSIONS))
        raise UsageError(f"source={source} holds no film; looked in it and its subfolders for {kinds}")
    return films, path


def _names(films: list[Path], root: Path) -> dict[Path, str]:
    """Return of each film the folder of its frames; `a.mp4` and `a.mkv` keep their suffixes."""
    relative = [Path(film.name) if film == root else film.relative_to(root) for film in films]
    stems = Counter(path.with_suffix("").as_posix() for path in relative)
    return {
        film: stem if stems[stem := path.with_suffix("").as_posix()] == 1 else path.as_posix()
        for film, path in zip(films, relative, strict=True)
    }


def _taking(cfg: DictConfig) -> Taking:
    check_choice("format", cfg.format, ("png", "jpg"))
    if isinstance(cfg.subtitles, str):
        check_choice("subtitles", cfg.subtitles, ("detect", "keep"))
    elif not 0 <= cfg.subtitles < 0.5:
        raise UsageError(f"subtitles={cfg.subtitles}: detect, keep, or a share from 0 to 0.5")
    if cfg.near is not None and not (isinstance(cfg.near, int) and 0 <= cfg.near < BITS // 2):
        raise UsageError(f"near={cfg.near}: bits, a whole number from 0 to {BITS // 2 - 1}, or null")
    sampling = make(cfg, "sampling")
    if not isinstance(sampling.per_shot, int) or sampling.per_shot < 1:
        raise UsageError(f"sampling.per_shot={sampling.per_shot}: a whole number, 1 or more")
    return Taking(sampling, cfg.bars, cfg.subtitles, cfg.subtitle_rate, cfg.format, cfg.quality)


def _taken(
    films: list[Path], names: dict[Path, str], output: Path, taking: Taking, workers: int
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each film with what `take` found, several at a time; those done before are not read again."""
    jobs = []
    for film in films:
        folder, state = output / KEPT / _flat(names[film]), state_of(film)
        if (known := read(folder, state)) is not None:
            yield film, known
        else:
            jobs.append((film, folder, state, taking))
    if len(jobs) == 1 or workers == 1:
        for film, folder, state, _ in jobs:
            with tqdm(total=_expected(film), desc=film.name, unit="frame") as bar:
                yield film, take(film, folder, state, taking, 0, bar.update)
    elif jobs:
        workers = min(workers, len(jobs))
        threads = max(1, (os.cpu_count() or 1) // workers)
        # Spawned, as a fork of a process with threads may hang.
        with multiprocessing.get_context("spawn").Pool(workers, _no_interrupt) as pool:
            done = pool.imap_unordered(_job, [(*job, threads) for job in jobs])
            yield from tqdm(done, total=len(jobs), desc="reading", unit="film")


def _no_interrupt() -> None:
    """Leave Ctrl-C to the parent, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _job(job: tuple[Path, Path, str, Taking, int]) -> tuple[Path, dict[str, Any]]:
    film, folder, state, taking, threads = job
    return film, take(film, folder, state, taking, threads)


def _expected(film: Path) -> int | None:
    try:
        return Film(film).expected or None
    except FilmError:
        return None


def _flat(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def _near(rows: list[dict[str, object]], most: int | None) -> list[dict[str, object]]:
    """Return the frames that look like an earlier one that stays; films in order of their names."""
    if most is None:
        return []
    gone = set[int]()
    for i, j in sorted(near_pairs([int(str(row["hash"]), 16) for row in rows], most)):
        if i not in gone:
            gone.add(j)
    return [rows[i] for i in sorted(gone)]


def _lay(rows: list[dict[str, object]], output: Path, films: set[str]) -> None:
    """Make the films' folders hold these frames, and no others of ours."""
    wanted = {output / str(row["file"]): row for row in rows}
    for film in films:
        folder = output / film
        for file in folder.glob("[0-9]*") if folder.is_dir() else ():
            if file.is_file() and file not in wanted:
                file.unlink()
    for target, row in wanted.items():
        if not target.is_file():
            link(output / KEPT / _flat(str(row["film"])) / str(row["name"]), target)
    for kept in (output / KEPT).glob(".*.part"):
        shutil.rmtree(kept, ignore_errors=True)
