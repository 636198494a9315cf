"""The flicker of a film: painted by a checkpoint, or painted already."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from toonlab import images
from toonlab.app.painter import painter, stylizer
from toonlab.app.setup import device_named, environment
from toonlab.digests import file_sha256
from toonlab.errors import UsageError
from toonlab.inference.film.colour import Array
from toonlab.inference.film.reading import FilmSource
from toonlab.inference.film.temporal import stabiliser
from toonlab.inference.stylizer import Stylizer
from toonlab.metrics.flicker import SOURCE, Flicker, Steady
from toonlab.metrics.report import Report, Score

log = logging.getLogger(__name__)

Frames = Iterator[tuple[Array, dict[str, Array]]]


def score_film(
    cfg: DictConfig, folder: Path, about: Mapping[str, Any], painted_by: Stylizer | None = None
) -> Report:
    """Score `cfg.film` as `cfg.painted`, or as the checkpoint paints it; write `report.json` into `folder`.

    `painted_by` takes the checkpoint's place. With `temporal=flow` the same painting is scored without it as
    well, under `unsteadied`.

    Raises:
        UsageError: a file is no film, or the two do not belong together.
    """
    source = film_named(cfg.film, "film")
    frames = _of_files(source, cfg) if cfg.painted else _of_painter(source, cfg, painted_by)
    flicker = Flicker()
    total = min(source.total or 0, cfg.film_frames or source.total or 0) or None
    for photo, painted in tqdm(
        itertools.islice(frames, cfg.film_frames), total=total, desc="painting and scoring", unit="frame"
    ):
        flicker.add(photo, painted)
    try:
        found = flicker.compute()
    except ValueError as error:
        raise UsageError(f"film={cfg.film}: {error}") from error
    report = Report(scores=_scores(found, flicker.compared), protocol=_protocol(flicker, cfg))
    told = {"film": str(source.path.resolve()), "film_sha256": file_sha256(source.path), **about}
    report.to_json(folder / "report.json", about={**told, **environment()})
    log.info("\n%s\n\nreport: %s", _table(found, flicker), folder / "report.json")
    return report


def _of_painter(source: FilmSource, cfg: DictConfig, painted_by: Stylizer | None) -> Frames:
    ready = painted_by or stylizer(painter(cfg), device=device_named(cfg.device), tile=None)
    steadied = stabiliser(cfg.temporal)
    for frame in source.frames():
        cartoon = ready.paint_array(frame.rgb)
        if steadied is None:
            yield frame.rgb, {"painted": cartoon}
        else:
            yield frame.rgb, {"painted": steadied.steady(frame.rgb, cartoon), "unsteadied": cartoon}


def _of_files(source: FilmSource, cfg: DictConfig) -> Frames:
    painted = film_named(cfg.painted, "painted")
    sizes = (source.width, source.height), (painted.width, painted.height)
    if not all(0 <= b - a <= a % 2 for a, b in zip(*sizes, strict=True)):
        raise UsageError(
            f"painted={cfg.painted} is {sizes[1]}, film={cfg.film} {sizes[0]}: not the same film"
        )
    height, width = source.height, source.width
    for photo, cartoon in itertools.zip_longest(source.frames(), painted.frames()):
        if photo is None or cartoon is None:
            raise UsageError(f"painted={cfg.painted} has not as many frames as film={cfg.film}")
        yield photo.rgb, {"painted": cartoon.rgb[:height, :width]}


def film_named(name: str, key: str) -> FilmSource:
    """Open a film; UsageError, with the key that named it, if it is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"{key}={path} does not exist: name a film")
    try:
        return FilmSource(path)
    except images.BadImageError as error:
        raise UsageError(f"{key}={path}: {error}") from error


def _scores(found: Mapping[str, Steady], pairs: int) -> dict[str, Score]:
    own, scores = found[SOURCE], {}
    for film, of in found.items():
        if film == SOURCE:
            continue
        suffix = "" if film == "painted" else f"_{film}"
        for name in ("warp_error", "warp_error_squared", "laplacian", "gradient"):
            scores[name + suffix] = Score(
                value=getattr(of, name),
                real_vs_real=None,
                source_as_is=getattr(own, name),
                unrelated=None,
                n=pairs,
                better="lower" if name.startswith("warp") else "none",
            )
    return scores


def _protocol(flicker: Flicker, cfg: DictConfig) -> dict[str, Any]:
    return {
        "frames": flicker.frames,
        "pairs": flicker.compared,
        "visible": flicker.visible,
        "temporal": None if cfg.painted else cfg.temporal,
        "flow": "DIS, preset medium, on the source's luma",
        "occlusion": "forward-backward check and motion boundaries, as Lai et al. 2018",
        "warp_error": "mean |frame - warped frame before| over visible pixels, in [0, 1]",
    }


def _table(found: Mapping[str, Steady], flicker: Flicker) -> str:
    lines = [f"{'film':<12}{'warp error':>12}{'squared':>12}{'Laplacian':>12}{'gradient':>12}"]
    lines += [
        f"{name:<12}{of.warp_error:>12.5f}{of.warp_error_squared:>12.2e}{of.laplacian:>12.1f}{of.gradient:>12.1f}"
        for name, of in sorted(found.items())
    ]
    if "unsteadied" in found:
        now, was = found["painted"], found["unsteadied"]
        lines.append(
            f"warp error {now.warp_error / was.warp_error - 1:+.1%} by temporal=flow, "
            f"variance of the Laplacian {now.laplacian / was.laplacian - 1:+.1%}"
        )
    lines.append(f"n = {flicker.frames} frames; {flicker.visible:.1%} of their pixels are seen in two")
    return "\n".join(lines)
