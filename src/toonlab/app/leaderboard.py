"""`src/leaderboard.py`: networks compared under one protocol, from checkpoints to a page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import nn
from tqdm import tqdm

from toonlab import images as im
from toonlab.app.evaluate import score
from toonlab.app.evaluate_film import film_named, score_film
from toonlab.app.painter import stylizer
from toonlab.app.reporting.found import kept_report
from toonlab.app.setup import as_plain, device_named, environment, make, quiet
from toonlab.app.voting.entrants import entrants, loading
from toonlab.digests import file_sha256
from toonlab.engine.checkpoint import Loaded
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError
from toonlab.inference.cost import gmacs, milliseconds, parameters
from toonlab.inference.sample_photos import crops, sample_photos
from toonlab.inference.stylizer import Stylizer
from toonlab.reports.leaderboard import Board, Entry, markdown, spreadsheet
from toonlab.votes.manifest import Model

log = logging.getLogger(__name__)

OURS = ("leaderboard.json", "leaderboard.md", "leaderboard.csv", "sheet.jpg")


def run(cfg: DictConfig) -> None:
    """Score `cfg.networks` on `cfg.photos` against each of `cfg.styles`; write the page into `cfg.output`.

    Scores that are there already, of the same network, images and settings, are kept.

    Raises:
        UsageError: a network, a folder or the film cannot be used.
    """
    quiet()
    styles: dict[str, str] = as_plain(cfg.styles)
    if not isinstance(styles, dict) or not styles:
        raise UsageError(f"styles={styles}: name each folder of cartoons, 'styles={{validation: DIR}}'")
    models = entrants(_by_name(cfg.networks))
    film = film_named(cfg.film, "film").path if cfg.film else None
    digest = file_sha256(film) if film else None
    output = Path(cfg.output).expanduser()
    if (output / OURS[1]).exists() and not (output / OURS[0]).exists():
        raise UsageError(
            f"output={output}: holds a {OURS[1]} that is not this command's; name another folder"
        )
    output.mkdir(parents=True, exist_ok=True)
    entries = [
        _entry(cfg, model, styles, output, digest) for model in tqdm(models, desc="networks", unit="network")
    ]
    if cfg.rounds:
        entries = _timed(cfg, models, entries)
    board = Board(
        entries=entries,
        styles=list(styles),
        film=film.name if film else None,
        frame=(int(cfg.frame[0]), int(cfg.frame[1])),
        about={**environment(), "device": str(device_named(cfg.device)), "size": int(cfg.size)},
    )
    write_whole(output / OURS[0], json.dumps(board.plain(), indent=1) + "\n")
    write_whole(output / OURS[1], markdown(board))
    write_whole(output / OURS[2], spreadsheet(board))
    im.save(_sheet(cfg, models), output / OURS[3], quality=90)
    log.info("%s\nwritten to %s, with .csv, .json and %s", markdown(board), output / OURS[1], OURS[3])


NO_MATTER = ("cache_dir", "workers", "teacher")
"""Settings of the data that change no score; the teacher draws for training alone."""


def _by_name(networks: Any) -> Any:
    plain = as_plain(networks)
    return plain if isinstance(plain, Mapping | list) else [plain, "photo"]


def _entry(
    cfg: DictConfig, model: Model, styles: Mapping[str, str], output: Path, digest: str | None
) -> Entry:
    """Score one network against every style, and its flicker on the film of that digest."""
    folder = output / "scores" / model.name.replace("/", "_")
    reports = {}
    for style, cartoons in styles.items():
        own = _with(cfg, cartoons=cartoons, strength=model.settings.get("strength", 1.0))
        data = {key: value for key, value in as_plain(own.data).items() if key not in NO_MATTER}
        how = {"data": data, "metrics": as_plain(cfg.metrics)}
        about = _who(model) | how | {"seed": cfg.seed, "resamples": cfg.resamples}
        path = folder / style / "report.json"
        if (kept := _kept(path, about)) is None:
            log.info("%s, %s", model.name, style)
            score(own, _loaded(model), make(own, "data", extras=[]), "all", path.parent, about)
            kept = kept_report(path)
        reports[style] = kept or {}
    film = None
    if digest:
        about = _who(model) | {"film_sha256": digest, "film_frames": cfg.film_frames}
        path = folder / "film" / "report.json"
        if (film := _kept(path, about)) is None:
            told = _with(cfg, painted=None, temporal="none")
            score_film(told, path.parent, about, _painter(cfg, model))
            film = kept_report(path)
    network = _loaded(model, "runtime=torch").generator
    countable = isinstance(network, nn.Module) and any(True for _ in network.parameters())
    return Entry(
        name=model.name,
        reports=reports,
        film=film,
        parameters=parameters(network) if countable else None,
        gmacs=gmacs(network, *cfg.frame) if countable else None,
        milliseconds=None,
    )


def _with(cfg: DictConfig, **settings: Any) -> DictConfig:
    changed = cfg.copy()
    OmegaConf.set_struct(changed, False)
    for key, value in settings.items():
        changed[key] = value
    return changed


def _who(model: Model) -> dict[str, Any]:
    return {"network": model.name, "sha256": model.sha256, "settings": dict(model.settings)}


def _kept(path: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a report that is there already and is about the same."""
    report = kept_report(path)
    same = report and all(report["about"].get(key) == value for key, value in about.items())
    return report if same else None


def _loaded(model: Model, *overrides: str) -> Loaded:
    load = loading(model, *overrides)
    return load() if load else Loaded(nn.Identity(), {}, {}, 0)


def _painter(cfg: DictConfig, model: Model) -> Stylizer:
    strength = model.settings.get("strength", 1.0)
    return stylizer(_loaded(model), device=device_named(cfg.device), tile=None, strength=strength)


def _timed(cfg: DictConfig, models: list[Model], entries: list[Entry]) -> list[Entry]:
    painters = {model.name: _painter(cfg, model) for model in models if model.kind != "photo"}
    frame = crops(sample_photos(), 1, *cfg.frame)
    frame = torch.nn.functional.interpolate(frame, size=tuple(cfg.frame), mode="bilinear")
    found = milliseconds(painters, frame, rounds=cfg.rounds)
    return [entry._replace(milliseconds=found.get(entry.name)) for entry in entries]


def _sheet(cfg: DictConfig, models: list[Model]) -> Image.Image:
    """The same photos painted by all, whole, as large as they are scored."""
    first = next(iter(as_plain(cfg.styles).values()))
    data = make(_with(cfg, cartoons=first), "data", extras=[])
    photos = data.panel(cfg.shown, "photo")
    columns = [[im.to_picture(photo) for photo in photos]]
    named = [model for model in models if model.kind != "photo"]
    for model in tqdm(named, desc="sheet", unit="network"):
        ready = _painter(cfg, model)
        columns.append([im.to_picture(ready.paint(photo[None])[0]) for photo in photos])
    rows = [list(row) for row in zip(*columns, strict=True)]
    return im.sheet(rows, ["photo", *(model.name for model in named)])
