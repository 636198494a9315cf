"""`runs=[…]`: what each entry paints with, and by what it is known again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from toonlab.app.cli import CONF
from toonlab.app.painter import painter
from toonlab.app.setup import as_plain, composed
from toonlab.digests import file_sha256
from toonlab.engine.bundle import SAYS
from toonlab.engine.checkpoint import Loaded, locate, read
from toonlab.errors import UsageError, did_you_mean
from toonlab.shipped import shipped
from toonlab.votes.manifest import Model

PHOTO = "photo"
"""The entry that paints nothing: how the others compare with leaving the photo alone."""

_SETTINGS: dict[str, Any] = {"style": None, "packs": None, "strength": 1.0, "average": True, "reverse": False}
"""What an entry may say besides its `ckpt`; names and meaning are those of `src/stylize.py`."""


def entrants(runs: Any) -> list[Model]:
    """Return who competes.

    Args:
        runs: a list of run folders, checkpoint files, bundles, networks that come with toonlab, methods that
            need no training (`flow`) and `photo`; or these by name. In place of each,
            `{ckpt: PATH, style: NAME, strength: 0.5}` says more.

    Raises:
        UsageError: an entry is nothing of these, or two have one name.
    """
    plain = as_plain(runs)
    if isinstance(plain, Mapping):
        return [_model(entry, str(name)) for name, entry in plain.items()]
    entries = plain if isinstance(plain, list) else [plain]
    if len(entries) < 2:
        raise UsageError(f"runs={plain}: a vote needs two or more, runs=[RUN_DIR,RUN_DIR,flow]")
    models = [_model(entry) for entry in entries]
    names = Counter(model.name for model in models)
    longer = [_longer(model) if names[model.name] > 1 else model.name for model in models]
    if twice := [name for name, count in Counter(longer).items() if count > 1]:
        raise UsageError(
            f"runs=…: two are called {twice[0]}; name them, 'runs={{one: {models[0].source}, two: …}}'"
        )
    return [Model(**{**vars(model), "name": name}) for model, name in zip(models, longer, strict=True)]


def loading(model: Model, *overrides: str) -> Callable[[], Loaded] | None:
    """Return what loads a model's network, for when it is needed; None for the photo itself.

    The function raises UsageError if the network is gone or cannot be loaded. `overrides` are of
    `src/stylize.py`: `runtime=torch`, for example.
    """
    if model.kind == PHOTO:
        return None
    if model.kind == "method":
        return lambda: painter(_stylize(f"method={model.source}", *overrides))
    settings = {key: value for key, value in model.settings.items() if key != "strength"}
    cfg = _stylize(*overrides)
    for key, value in {"ckpt": model.source, **settings}.items():
        OmegaConf.update(cfg, key, value)
    return lambda: painter(cfg)


def _model(entry: Any, name: str | None = None) -> Model:
    told = dict(entry) if isinstance(entry, Mapping) else {"ckpt": str(entry)}
    known = ["ckpt", "method", *_SETTINGS]
    for key in told:
        if key not in known:
            raise UsageError(f"runs: {key}: no such setting{did_you_mean(key, known)}; {', '.join(known)}")
    source = str(told.pop("ckpt", "") or told.pop("method", ""))
    settings = {key: value for key, value in told.items() if value != _SETTINGS.get(key)}
    path = Path(source).expanduser()
    drawing = sorted(file.stem for file in (CONF / "method").glob("flow*.yaml"))
    if not path.exists() and source in (PHOTO, *drawing):
        if settings:
            raise UsageError(f"runs: {source} has no settings; leave {', '.join(settings)} out")
        kind = PHOTO if source == PHOTO else "method"
        digest = _digest(settings_of(source)) if kind == "method" else ""
        return Model(name=name or source, kind=kind, source=source, sha256=digest, method=source)
    file = _checkpoint(path, [PHOTO, *drawing])
    run = file.parent.parent if file.parent.name == "checkpoints" else None
    stem = file.parent.name if file.name == SAYS else file.stem
    method = "" if file.suffix != ".ckpt" else str(read(file)["toonlab"]["config"].get("name") or "")
    return Model(
        name=name or (run.name if run else stem),
        kind="checkpoint",
        source=str(file),
        sha256=file_sha256(file),
        settings=settings,
        method=method,
        run=str(run or ""),
    )


def _checkpoint(path: Path, others: list[str]) -> Path:
    """Return a run's best checkpoint, as `src/report.py` scores it, else its last; of others, the file."""
    if path.is_dir() and not (path / SAYS).is_file():
        for name in ("best", "last"):
            if (file := path / "checkpoints" / f"{name}.ckpt").is_file():
                return file.resolve()
        raise UsageError(f"runs: {path} holds no checkpoints/best.ckpt or last.ckpt; is it a run's folder?")
    if not path.exists() and str(path) not in shipped():
        raise UsageError(
            f"runs: {path}: no such run folder or file{did_you_mean(str(path), [*others, *shipped()])}; "
            f"without training there are {', '.join([*others, *shipped()])}"
        )
    return locate(path).resolve()


@cache
def settings_of(method: str) -> Mapping[str, Any]:
    """Return the settings of a method that needs no training."""
    node = _stylize(f"method={method}").method
    return cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))


def _stylize(*overrides: str) -> DictConfig:
    """Compose what `src/stylize.py` paints by: the same settings then mean the same here."""
    return composed("stylize", *overrides)


def _longer(model: Model) -> str:
    return f"{Path(model.run).parent.name}/{model.name}" if model.run else model.source


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
