"""One network of the leaderboard: scored where it is not yet, or read from where its scores lie."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from toonlab.app.evaluate import score
from toonlab.app.evaluate_film import score_film
from toonlab.app.painter import stylizer
from toonlab.app.reporting.found import kept_report
from toonlab.app.setup import as_plain, device_named, make
from toonlab.app.voting.entrants import loading
from toonlab.engine.checkpoint import Loaded
from toonlab.inference.cost import gmacs, parameters
from toonlab.inference.stylizer import Stylizer
from toonlab.reports.leaderboard import Entry
from toonlab.votes.manifest import Model

log = logging.getLogger(__name__)

NO_MATTER = ("cache_dir", "workers", "teacher")
"""Settings of the data that change no score; the teacher draws for training alone."""


def entry(
    cfg: DictConfig, model: Model, output: Path, *, film: str | None, canonical: Mapping[str, Any] | None
) -> Entry:
    """Score one network against every style, and its flicker.

    Args:
        cfg: of `src/leaderboard.py`.
        model: the network.
        output: the board's folder; scores that are there already, of the same, are kept.
        film: digest of `cfg.film`; None: no flicker.
        canonical: `metrics` that give the canonical FID; None: it is left out.
    """
    folder = output / "scores" / model.name.replace("/", "_")
    reports, fids = {}, {}
    for style, cartoons in as_plain(cfg.styles).items():
        own = with_settings(cfg, cartoons=cartoons, strength=model.settings.get("strength", 1.0))
        reports[style] = _scored(own, model, folder / style)
        if canonical:
            fids[style] = _scored(with_settings(own, metrics=canonical), model, folder / style / "inception")
    network = _loaded(model, "runtime=torch").generator
    countable = isinstance(network, nn.Module) and any(True for _ in network.parameters())
    return Entry(
        name=model.name,
        reports=reports,
        film=_flicker(cfg, model, folder / "film", film) if film else None,
        parameters=parameters(network) if countable else None,
        gmacs=gmacs(network, *cfg.frame) if countable else None,
        milliseconds=None,
        canonical=fids,
    )


def painter(cfg: DictConfig, model: Model) -> Stylizer:
    """Return what paints as the network does by default."""
    strength = model.settings.get("strength", 1.0)
    return stylizer(_loaded(model), device=device_named(cfg.device), tile=None, strength=strength)


def with_settings(cfg: DictConfig, **settings: Any) -> DictConfig:
    """Return a copy with some settings changed."""
    changed = cfg.copy()
    OmegaConf.set_struct(changed, False)
    for key, value in settings.items():
        changed[key] = value
    return changed


def _scored(cfg: DictConfig, model: Model, folder: Path) -> dict[str, Any]:
    data = {key: value for key, value in as_plain(cfg.data).items() if key not in NO_MATTER}
    how = {"data": data, "metrics": as_plain(cfg.metrics)}
    about = _who(model) | how | {"seed": cfg.seed, "resamples": cfg.resamples}
    path = folder / "report.json"
    if (kept := _kept(path, about)) is None:
        log.info("%s, %s", model.name, folder.name)
        score(cfg, _loaded(model), make(cfg, "data", extras=[]), "all", folder, about)
        kept = kept_report(path)
    return kept or {}


def _flicker(cfg: DictConfig, model: Model, folder: Path, digest: str) -> dict[str, Any] | None:
    about = _who(model) | {"film_sha256": digest, "film_frames": cfg.film_frames}
    path = folder / "report.json"
    if (found := _kept(path, about)) is None:
        told = with_settings(cfg, painted=None, temporal="none")
        score_film(told, folder, about, painter(cfg, model))
        found = kept_report(path)
    return found


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
