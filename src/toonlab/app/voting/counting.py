"""`src/vote.py report VOTE_DIR`: the votes counted, beside what the metrics say."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig
from PIL import Image

from toonlab import __version__
from toonlab.app.voting.painting import PICTURES
from toonlab.app.voting.scores import metrics_of
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError
from toonlab.votes import tables
from toonlab.votes.page import Shown, page
from toonlab.votes.results import Results
from toonlab.votes.store import Store

log = logging.getLogger(__name__)

SHOWN = 24
"""Photos whose pictures the page shows: it stays below 5 MB."""


def report(cfg: DictConfig) -> None:
    """Write `report.html`, `report.md`, `report.csv` and `votes.csv` into the vote's folder.

    It may be run while the vote goes on.

    Raises:
        UsageError: there is no vote, or no vote was cast.
    """
    store = Store(Path(str(cfg.report)).expanduser().absolute())
    manifest = store.manifest()
    cast = store.cast()
    if not cast:
        raise UsageError(f"report={store.folder}: nobody has voted yet; python src/vote.py {store.folder}")
    results = Results(
        manifest=manifest,
        cast=cast,
        progress=store.progress(),
        metrics=metrics_of(manifest.models, [Path(str(each)).expanduser() for each in cfg.scores]),
        resamples=int(cfg.resamples),
        changes=store.changes(),
    )
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    html = page(results, _shown(store, results), made=f"{now}, version {__version__}")
    text = tables.markdown(results)
    write_whole(store.folder / "report.html", html)
    write_whole(store.folder / "report.md", text)
    write_whole(store.folder / "report.csv", tables.spreadsheet(results))
    write_whole(store.folder / "votes.csv", tables.votes(results))
    log.info(
        "%s\nreport: %s (open it in a browser), report.md, report.csv, votes.csv",
        text,
        store.folder / "report.html",
    )


def _shown(store: Store, results: Results) -> list[Shown]:
    """Open the pictures of photos that were voted on; those whose pictures are gone are left out."""
    tokens, found = store.tokens(), []
    models = range(len(results.manifest.models))
    for photo in [i for i, counts in enumerate(results.by_photo) if counts][:SHOWN]:
        files = [store.folder / PICTURES / f"{tokens[photo, model]}.png" for model in (None, *models)]
        if not all(file.is_file() for file in files):
            log.warning(
                "%s: its pictures are gone from %s", results.manifest.photos[photo].name, store.folder
            )
            continue
        photograph, *painted = (_small(file) for file in files)
        found.append(Shown(photo, photograph, painted))
    return found


def _small(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((512, 512), Image.Resampling.LANCZOS)
    return small
