"""`src/prepare.py check`: what is wrong with a data set, and what to ignore of it."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import DictConfig
from tqdm import tqdm

from toonlab import images
from toonlab.app.prepare.journal import Journal, checked, each, state_of
from toonlab.app.prepare.output import claim
from toonlab.app.setup import quiet
from toonlab.data.anchors import Shot
from toonlab.data.bars import reduced
from toonlab.data.contact import contact_sheet, thinned
from toonlab.data.folders import find_images
from toonlab.data.heatmap import heat_map
from toonlab.data.ignore import Ignore
from toonlab.data.quality import Facts, examine
from toonlab.data.remedy import remedy
from toonlab.data.shortcut import Domain, Mark, find_marks, frames_of, groups
from toonlab.data.verdicts import Verdict, bars, broken, doubles, grey, odd, tiny
from toonlab.errors import UsageError

log = logging.getLogger(__name__)

KEYS = ("photos", "cartoons", "val_photos", "val_cartoons", "test_photos", "test_cartoons")
_SHOWN = 10  # pictures of each verdict on the page
_LISTED = 50  # files of each verdict in report.md; report.json has all
_SIGNS = {"ok": "ok  ", "look": "look", "mend": "MEND"}


def run(cfg: DictConfig) -> None:
    """Check the folders that `cfg` names; exits with 1 if something has to be mended before training.

    Raises:
        UsageError: no folder, or a wrong setting.
    """
    quiet()
    workers = _check(cfg)
    folders = {key: Path(cfg[key]).expanduser().absolute() for key in KEYS if cfg[key]}
    if not folders:
        raise UsageError("check needs a folder at least: photos=DIR cartoons=DIR")
    listed = {key: find_images(folder, what=key)[0] for key, folder in folders.items()}
    output = _output(cfg, folders)
    facts = _facts(listed, output, workers)
    files = {key: [one for one in part if not one.reason] for key, part in facts.items()}
    bad = [one for part in facts.values() for one in part if one.reason]
    verdicts = [
        broken(bad, sum(map(len, facts.values()))),
        tiny(files, cfg.min_side),
        *doubles(files, cfg.near),
    ]
    barred, inner = bars(files)
    verdicts += [grey(files), *odd(files), barred]
    marks = list[Mark]()
    if cfg.shortcuts:
        domains = _domains(files, cfg.images, workers)
        marks = _search(domains, cfg.seed, workers)
        verdicts += _told(marks, domains)
        if domains:
            images.save(heat_map(domains, marks, workers=workers), output / "heat.png")
    ignore = remedy([mark.box for mark in marks], inner)
    kept = _keep(ignore, output)
    _write(verdicts, marks, ignore, folders, output)
    _show(verdicts, output)
    log.info("\n%s\n", "\n".join(f"{_SIGNS[v.level]}  {v.title}: {v.text}" for v in verdicts))
    log.info("report: %s\nlook at: %s", output / "report.md", output / "page.png")
    if kept:
        log.info("train without what was found:\n  python src/train.py data=unpaired … data.ignore=%s", kept)
    if any(verdict.level == "mend" for verdict in verdicts):
        sys.exit(1)


def _check(cfg: DictConfig) -> int:
    for key, least in {"min_side": 1, "images": 50, "near": 0, "seed": 0}.items():
        if not isinstance(cfg[key], int) or cfg[key] < least:
            raise UsageError(f"{key}={cfg[key]}: a whole number from {least}")
    return checked(cfg.workers)


def _output(cfg: DictConfig, folders: Mapping[str, Path]) -> Path:
    named = {key: str(path) for key, path in folders.items()}
    first = next(iter(folders.values())).name
    code = hashlib.blake2b(json.dumps(named).encode(), digest_size=3).hexdigest()
    output = cfg.output or Path(cfg.outputs_dir) / "checks" / f"{first}-{code}"
    # Only the folders: other limits make another report of the same files.
    return claim(output, settings={"task": "check", **named}, sources=folders)


def _facts(listed: Mapping[str, Sequence[Path]], output: Path, workers: int) -> dict[str, list[Facts]]:
    """Return what is known of each file; read once, as long as it does not change."""
    journal = Journal(output / "files.csv", ("file", "state", *Facts._fields[1:]))
    paths = [path for part in listed.values() for path in part]
    new = [path for path in paths if journal.rows.get(str(path), {}).get("state") != _state(path)]
    for path, found in each(examine, new, workers=workers, what="examining", unit="image"):
        journal.add({**found.row(), "state": _state(path)})
    rows = {row["file"]: row for row in journal.close([str(path) for path in paths])}
    return {key: [Facts.from_row(rows[str(path)]) for path in part] for key, part in listed.items()}


def _state(path: Path) -> str:
    try:
        return state_of(path)
    except OSError:  # a dangling link; examining it says so
        return "gone"


def _domains(files: Mapping[str, Sequence[Facts]], most: int, workers: int) -> list[Domain]:
    """Return the training folders' pictures, ready to be searched for marks."""
    found = []
    for key in ("photos", "cartoons"):
        if len(files.get(key, ())) < 2:
            continue
        chosen = thinned(list(files[key]), most)
        shots = [
            shot for _, shot in each(_shot, chosen, workers=workers, what=f"reading {key}", unit="image")
        ]
        found.append(Domain(key, shots, groups(shots)))
    return found


def _shot(one: Facts) -> Shot:
    pixels = np.asarray(images.on_white(images.decode(Path(one.file))))
    return Shot(reduced(pixels), one.width, one.height)


def _search(domains: Sequence[Domain], seed: int, workers: int) -> list[Mark]:
    total = sum(len(frames_of(domain)) for domain in domains)
    with tqdm(total=total, desc="looking for marks", unit="frame", disable=not total) as bar:
        return find_marks(domains, seed=seed, workers=workers, step=bar.update)


def _told(marks: Sequence[Mark], domains: Sequence[Domain]) -> list[Verdict]:
    few = [domain.name for domain in domains if not frames_of(domain)]
    missing = [f"too few different pictures of {', '.join(few)} to tell"] if few else []
    if not marks:
        return [Verdict("look" if few else "ok", "marks at a fixed place", "; ".join(missing) or "none")]
    found = []
    for mark in marks:
        where = ", ".join(f"{value:.3f}" for value in mark.box)
        text = (
            f"{mark.domain} have one at [{where}], fixed in {mark.anchor}: at least {mark.share:.0%} of them "
            f"(chance {mark.control:.0%}, p = {mark.p:.1g})"
        )
        if not np.isnan(mark.other):
            text += f", {mark.other:.0%} of the others"
        if mark.is_shortcut:
            text += f"; it alone tells the domains apart (AUC {mark.auc:.2f})"
        found.append(Verdict("mend" if mark.is_shortcut else "look", "mark at a fixed place", text))
    return found


def _keep(ignore: Ignore | None, output: Path) -> Path | None:
    path = output / "ignore.yaml"
    if ignore is None:
        path.unlink(missing_ok=True)  # of an earlier check, when there was something
        return None
    head = "# What `prepare.py check` found at fixed places; shares of a picture: left, top, right, bottom.\n"
    path.write_text(head + yaml.safe_dump(ignore.plain(), sort_keys=False, default_flow_style=None))
    return path


def _write(
    verdicts: Sequence[Verdict],
    marks: Sequence[Mark],
    ignore: Ignore | None,
    folders: Mapping[str, Path],
    output: Path,
) -> None:
    lines = ["# Data check", "", *(f"- `{key}`: {path}" for key, path in folders.items()), ""]
    lines += ["| | what | found |", "|---|---|---|"]
    lines += [f"| {_SIGNS[v.level].strip()} | {v.title} | {v.text} |" for v in verdicts]
    if ignore:
        lines += ["", f"Train with `data.ignore={output / 'ignore.yaml'}`: {json.dumps(ignore.plain())}"]
    lines += ["", "![what was found](page.png)", "", "![where pictures agree](heat.png)"]
    for verdict in verdicts:
        if verdict.files:
            shown = [f"- {name}" for name in verdict.files[:_LISTED]]
            more = len(verdict.files) - len(shown)
            lines += [
                "",
                f"## {verdict.title}",
                "",
                *shown,
                *([f"- and {more} more, see report.json"] if more else []),
            ]
    (output / "report.md").write_text("\n".join(lines) + "\n")
    whole: dict[str, Any] = {
        "folders": {key: str(path) for key, path in folders.items()},
        "verdicts": [
            {"level": v.level, "title": v.title, "text": v.text, "files": list(v.files)} for v in verdicts
        ],
        "marks": [
            {
                **{key: value for key, value in mark._asdict().items() if isinstance(value, str | int)},
                **{
                    key: None if np.isnan(value) else value
                    for key, value in mark._asdict().items()
                    if isinstance(value, float)
                },
                "fixed_in": str(mark.anchor),
                "box": list(mark.box),
                "shortcut": mark.is_shortcut,
            }
            for mark in marks
        ],
        "ignore": ignore.plain() if ignore else None,
    }
    (output / "report.json").write_text(json.dumps(whole, indent=2) + "\n")


def _show(verdicts: Sequence[Verdict], output: Path) -> None:
    """Write the page: of each verdict some pictures, duplicates side by side."""
    cells = []
    for verdict in verdicts:
        if verdict.level == "ok" or verdict.title == "broken files":
            continue
        names = [row.partition(" (")[0] for row in thinned(list(verdict.files), _SHOWN)]
        if verdict.pairs:
            names = [one.file for pair in thinned(list(verdict.pairs), _SHOWN // 2) for one in pair[:2]]
        for name in names:
            picture = images.on_white(images.decode(Path(name)))
            cells.append((picture, f"{verdict.title}: {Path(name).name}"))
    images.save(contact_sheet(cells), output / "page.png")
