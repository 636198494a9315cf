"""`kind=web`: a folder whose page paints in the visitor's own browser."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from toonlab import __version__
from toonlab.app.export import origin
from toonlab.app.setup import as_plain
from toonlab.app.styles import chosen_style, with_packs
from toonlab.engine.checkpoint import Loaded, Styled, in_style
from toonlab.errors import UsageError, check_choice
from toonlab.inference.stylizer import OutputFilter
from toonlab.inference.web.folder import check_folder, write_folder
from toonlab.inference.web.network import WEIGHTS, Style
from toonlab.inference.web.runtime import runtime_files

log = logging.getLogger(__name__)

TAKES = frozenset({"style", "packs", "ort"})


def export(cfg: DictConfig) -> None:
    """Write the page of `cfg.ckpt`: a run, a list of runs, or runs by the names that the page shows.

    A checkpoint of several styles gives the page all of them, or the one that `cfg.style` names.

    Raises:
        UsageError: it cannot be written as asked; nothing was.
    """
    output = Path(cfg.output).expanduser()
    check_folder(output, overwrite=cfg.overwrite)
    check_choice("web.weights", cfg.web.weights, WEIGHTS)
    about = _about(cfg)
    styles = [style for name, ckpt in _runs(cfg.ckpt).items() for style in _styles(cfg, name, ckpt)]
    _check_names([style.name for style in styles])
    runtime = runtime_files(
        {str(name): str(sha256) for name, sha256 in cfg.web.runtime.items()},
        version=str(cfg.web.version),
        cache_dir=Path(cfg.cache_dir).expanduser(),
        folder=None if cfg.ort is None else Path(cfg.ort).expanduser(),
    )
    write_folder(
        output,
        styles,
        runtime=runtime,
        about=about,
        weights=cfg.web.weights,
        tile=cfg.web.tile,
        on_style=lambda name: log.info("exporting %s", name),
    )
    megabytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file()) / 1e6
    log.info(
        "%s: a page with %s (%.1f MB in all)\n"
        "Look at it:\n  python -m http.server --bind 127.0.0.1 --directory %s",
        output,
        ", ".join(style.name for style in styles),
        megabytes,
        output,
    )


def _about(cfg: DictConfig) -> dict[str, Any]:
    """Return what the page is told.

    Raises:
        UsageError: a number is out of range.
    """
    web: dict[str, Any] = OmegaConf.to_container(cfg.web, resolve=True)  # type: ignore[assignment]
    if web["size"] not in web["sizes"]:
        raise UsageError(f"web.size={web['size']}: use one of web.sizes, {web['sizes']}")
    for key in ("tile", "whole_pixels", "megapixels", "file_megabytes", "size"):
        if web[key] <= 0:
            raise UsageError(f"web.{key}={web[key]}: has to be more than 0")
    limits = {key: web[key] for key in ("whole_pixels", "megapixels", "file_megabytes")}
    shown = {key: web[key] for key in ("sizes", "size")}
    return {"title": str(web["title"]), "toonlab": __version__, **shown, "limits": limits}


def _runs(given: Any) -> dict[str, Path]:
    """Return the checkpoints by name; a run without one is called as its folder or file."""
    given = as_plain(given)
    if isinstance(given, dict):
        named = {str(name): Path(str(path)).expanduser() for name, path in given.items()}
    else:
        paths = [Path(str(path)).expanduser() for path in (given if isinstance(given, list) else [given])]
        _check_names([_called(path) for path in paths])
        named = {_called(path): path for path in paths}
    if not named:
        raise UsageError("ckpt=[]: name at least one run")
    return named


def _called(path: Path) -> str:
    path = path.resolve()
    if path.suffix == ".ckpt" and path.parent.name == "checkpoints":
        path = path.parent.parent
    return path.stem if path.suffix == ".ckpt" else path.name


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"ckpt=…: two styles are called {name}; name them, 'ckpt={{NAME: RUN, OTHER: RUN}}'"
            )


def _styles(cfg: DictConfig, name: str, ckpt: Path) -> list[Style]:
    one = cfg.copy()
    one.ckpt = str(ckpt)
    whole = with_packs(one)
    asked = chosen_style(cfg.style)
    if asked is not None or not isinstance(whole.generator, Styled) or len(whole.generator.domains) < 2:
        return [_style(one, name, in_style(whole, asked))]
    # Folded anew for each: a fold may change the network in place.
    return [
        _style(one, f"{name} · {domain}", in_style(with_packs(one), domain))
        for domain in whole.generator.domains
    ]


def _style(cfg: DictConfig, name: str, loaded: Loaded) -> Style:
    about = origin(cfg, loaded, "web")
    source = (loaded.origin or {}).get("file", about["file"])
    facts = [
        ("Weights", f"{source}, sha256 {about['sha256'][:12]}"),
        ("Licence", about["licence"]),
    ]
    if method := loaded.config.get("name"):
        facts.insert(0, ("Method", str(method)))
    if loaded.iteration:
        facts.insert(1, ("Trained", f"{loaded.iteration:,} iterations"))
    return Style(name, loaded.generator, OutputFilter.of(loaded.painting), facts)
