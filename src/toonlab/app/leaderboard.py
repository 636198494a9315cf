"""`src/leaderboard.py`: networks compared under one protocol, from checkpoints to a page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from toonlab import images as im
from toonlab.app.evaluate_film import film_named
from toonlab.app.reporting.entry import entry, painter, with_settings
from toonlab.app.setup import as_plain, device_named, environment, make, quiet
from toonlab.app.voting.entrants import entrants
from toonlab.data.folders import find_images
from toonlab.data.stream import Files, Gallery
from toonlab.digests import file_sha256
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError, did_you_mean
from toonlab.inference.cost import milliseconds
from toonlab.inference.sample_photos import crops, sample_photos
from toonlab.metrics.features import NoInceptionError
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
    photos = _shown(cfg)
    output.mkdir(parents=True, exist_ok=True)
    canonical, why_not = _canonical(cfg)
    entries = [
        entry(cfg, model, output, film=digest, canonical=canonical)
        for model in tqdm(models, desc="networks", unit="network")
    ]
    if cfg.rounds:
        entries = _timed(cfg, models, entries)
    board = Board(
        entries=entries,
        styles=list(styles),
        film=film.name if film else None,
        frame=(int(cfg.frame[0]), int(cfg.frame[1])),
        about={**environment(), "device": str(device_named(cfg.device)), "size": int(cfg.size)},
        no_canonical=why_not,
    )
    write_whole(output / OURS[0], json.dumps(board.plain(), indent=1) + "\n")
    write_whole(output / OURS[1], markdown(board))
    write_whole(output / OURS[2], spreadsheet(board))
    im.save(_sheet(cfg, models, photos), output / OURS[3], quality=90)
    log.info("%s\nwritten to %s, with .csv, .json and %s", markdown(board), output / OURS[1], OURS[3])


def _by_name(networks: Any) -> Any:
    plain = as_plain(networks)
    return plain if isinstance(plain, Mapping | list) else [plain, "photo"]


def _canonical(cfg: DictConfig) -> tuple[dict[str, Any] | None, str | None]:
    """Return `metrics` for the canonical FID; or None and, where it was asked for, why it cannot be had.

    Raises:
        UsageError: weights were named and are not there, or are other ones.
    """
    if cfg.canonical is None:
        return None, None
    features = as_plain(cfg.canonical)
    if features["_target_"] == as_plain(cfg.metrics)["features"]["_target_"]:
        return None, None  # every score is of it already
    try:
        make(cfg, "canonical")
    except NoInceptionError as error:
        said = str(error).replace("metrics.features.", "canonical.")
        said = said.replace("use metrics=lite, which needs neither", "leave it out, canonical=null")
        if features.get("weights"):
            raise UsageError(said) from error
        log.warning("no canonical FID: %s", said.removeprefix("metrics=inception: "))
        return None, "Inception's weights of 2015 are a download and were not at hand"
    return {**as_plain(cfg.metrics), "features": features, "monitor": "fid"}, None


def _timed(cfg: DictConfig, models: list[Model], entries: list[Entry]) -> list[Entry]:
    painters = {model.name: painter(cfg, model) for model in models if model.kind != "photo"}
    frame = crops(sample_photos(), 1, *cfg.frame)
    frame = torch.nn.functional.interpolate(frame, size=tuple(cfg.frame), mode="bilinear")
    found = milliseconds(painters, frame, rounds=cfg.rounds)
    return [each._replace(milliseconds=found.get(each.name)) for each in entries]


def _sheet(cfg: DictConfig, models: list[Model], photos: Tensor) -> Image.Image:
    """The same photos painted by all, whole, as large as they are scored."""
    columns = [[im.to_picture(photo) for photo in photos]]
    named = [model for model in models if model.kind != "photo"]
    for model in tqdm(named, desc="sheet", unit="network"):
        ready = painter(cfg, model)
        columns.append([im.to_picture(ready.paint(photo[None])[0]) for photo in photos])
    rows = [list(row) for row in zip(*columns, strict=True)]
    return im.sheet(rows, ["photo", *(model.name for model in named)])


def _shown(cfg: DictConfig) -> Tensor:
    """Return the sheet's photos, `(n, 3, size, size)` in [-1, 1]: so many of them, or those named.

    Raises:
        UsageError: one that is named is not there.
    """
    shown = as_plain(cfg.shown)
    if isinstance(shown, int):
        first = next(iter(as_plain(cfg.styles).values()))
        data = make(with_settings(cfg, cartoons=first), "data", extras=[])
        photos: Tensor = data.panel(shown, "photo")
        return photos
    files = {path.stem: path for path in find_images(cfg.photos, what="photos")[0]}
    for name in map(str, shown):
        if name not in files:
            raise UsageError(f"shown: {name}: no such photo in {cfg.photos}{did_you_mean(name, files)}")
    gallery = Gallery(
        Files([files[str(name)] for name in shown]), range(len(shown)), domain="photo", size=cfg.size
    )
    return torch.stack([gallery[i]["photo"] for i in range(len(gallery))])
