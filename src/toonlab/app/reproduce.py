"""`src/reproduce.py`: a card's recipe once more, and whether it comes out as the card says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from toonlab.app.cli import PROJECT
from toonlab.app.setup import as_plain, composed
from toonlab.cards import CARD, FOLDERS, Card, Compared, compare, described, differences, read_card
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError
from toonlab.shipped import shipped

log = logging.getLogger(__name__)

RECORD = "reproduction.json"
"""In the output folder: what was begun there."""


def run(cfg: DictConfig) -> None:
    """Train, score and compare.

    Exits with 1 if a score is outside its tolerance, and with a command's own code if it fails.

    Raises:
        UsageError: no such card, or the pictures are not the card's.
    """
    card = read_card(_path(str(cfg.card)))
    pictures = Path(cfg.pictures).expanduser().resolve()
    if others := differences(card, pictures):
        line = f"pictures={cfg.pictures}: not those of the card ({'; '.join(others)})"
        if not cfg.other_pictures:
            raise UsageError(f"{line}; other_pictures=true trains on them all the same")
        log.warning("%s: the card's scores are not to be expected", line)
    output = (
        Path(cfg.output).expanduser() if cfg.output else Path(cfg.outputs_dir) / "reproduce" / card.name
    ).resolve()
    _check_evaluation(card)
    trained, report = output / "run", output / "scores" / "report.json"
    _settle(output, _told(card, pictures if others else None, as_plain(cfg.overrides)))
    if not report.exists():
        if not _is_finished(trained):
            _command("train", *_training(card, pictures, trained, as_plain(cfg.overrides)))
        held_out = [f"photos={pictures / 'val_photos'}", f"cartoons={pictures / 'val_cartoons'}"]
        _command(
            "eval", f"ckpt={trained}", "data=unpaired", *held_out, *card.evaluation, f"output={report.parent}"
        )
    found = compare(card, json.loads(report.read_text(encoding="utf-8"))["scores"])
    log.info("%s", table(found))
    if not all(each.holds for each in found):
        log.error("%s: not reproduced; the run is in %s", card.name, trained)
        sys.exit(1)
    log.info("%s: reproduced, in %s", card.name, trained)


def _told(card: Card, others: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what a training and its scores depend on; `others` are pictures that are not the card's."""
    seen = {name: described(others / name) for name in FOLDERS} if others else dict(card.pictures)
    lists = {
        "recipe": list(card.recipe),
        "evaluation": list(card.evaluation),
        "overrides": list(overrides),
    }
    return {**lists, "pictures": seen}


def _settle(output: Path, told: Mapping[str, Any]) -> None:
    """Go on in a folder with what was begun there, and with nothing else.

    Raises:
        UsageError: something else was.
    """
    record = output / RECORD
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        if others := [key for key, value in told.items() if before.get(key) != value]:
            raise UsageError(
                f"output={output}: was begun with other {', '.join(others)}; name another folder"
            )
    elif output.exists() and any(output.iterdir()):
        raise UsageError(f"output={output}: holds something that is no reproduction; name another folder")
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(told, indent=1) + "\n")


def _check_evaluation(card: Card) -> None:
    """Refuse what `src/eval.py` would, before the training and not after it."""
    try:
        composed("eval", "ckpt=run", "data=unpaired", *card.evaluation)
    except Exception as error:  # Hydra's and OmegaConf's have no common class of their own
        why = str(error).splitlines()[0]
        raise UsageError(f"card={card.name}: evaluation={list(card.evaluation)}: {why}") from error


def table(found: Sequence[Compared]) -> str:
    """Return the scores beside the card's, for a terminal."""
    width = max(len(each.name) for each in found)
    lines = [f"{'':{width}}  {'here':>10}  {'card':>10}  {'tolerance':>10}"]
    for each in found:
        here = "missing" if each.found is None else f"{each.found:.4f}"
        value, tolerance = (f"{number:.4f}" for number in each.expected)
        verdict = "yes" if each.holds else "NO"
        lines.append(f"{each.name:{width}}  {here:>10}  {value:>10}  {tolerance:>10}  {verdict}")
    return "\n".join(lines)


def _path(name: str) -> Path:
    if (known := shipped()) and name in known:
        return known[name] / CARD
    path = Path(name).expanduser()
    if path.is_dir():
        path /= CARD
    if not path.is_file():
        raise UsageError(
            f"card={name}: no such card; there are {', '.join(known) or 'none'}, or give a card.yaml"
        )
    return path


def _training(card: Card, pictures: Path, folder: Path, more: Sequence[str]) -> list[str]:
    if (folder / "checkpoints" / "last.ckpt").is_file():
        return [f"resume={folder}"]
    return [*card.recipe, f"pictures={pictures}", f"hydra.run.dir={folder}", *more]


def _is_finished(run: Path) -> bool:
    result = run / "result.json"
    return result.is_file() and json.loads(result.read_text(encoding="utf-8"))["status"] == "finished"


def _command(script: str, *arguments: str) -> None:
    """Run one of our commands as a user would, and end as it ends if it fails."""
    log.info("python src/%s.py %s", script, " ".join(arguments))
    sys.stdout.flush()
    words = [sys.executable, str(PROJECT / "src" / f"{script}.py"), *arguments]
    code = subprocess.run(words, check=False).returncode  # noqa: S603 (our own commands)
    if code:
        sys.exit(code)
