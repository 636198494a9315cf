"""Cards: what a trained network was made of and by, and what it scored, so that anybody can make it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from toonlab.digests import file_sha256
from toonlab.errors import UsageError, is_number

CARD = "card.yaml"
FOLDERS = ("photos", "cartoons", "val_photos", "val_cartoons")
"""Of a recipe's pictures."""


class Expected(NamedTuple):
    """A score, and how far from it another training of the same recipe may lie."""

    value: float
    tolerance: float


class Card(NamedTuple):
    """What a card says.

    Attributes:
        name: of the network.
        recipe: arguments of `src/train.py`, besides `pictures=`.
        evaluation: arguments of `src/eval.py`, besides `ckpt=`, `photos=` and `cartoons=`.
        pictures: of each of `FOLDERS` the number of files, and a digest of their names and contents.
        scores: by their names in `report.json`.
        about: what people read: licences, hardware, time, failures.
    """

    name: str
    recipe: Sequence[str]
    evaluation: Sequence[str]
    pictures: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Expected]
    about: Mapping[str, Any]


class Compared(NamedTuple):
    """A score beside the card's."""

    name: str
    found: float | None
    expected: Expected

    @property
    def holds(self) -> bool:
        """Whether it is within the tolerance."""
        return self.found is not None and abs(self.found - self.expected.value) <= self.expected.tolerance


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        UsageError: there is none, or something is missing in it.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        card = Card(
            name=str(said["name"]),
            recipe=[str(each) for each in said["recipe"]],
            evaluation=[str(each) for each in said["evaluation"]],
            pictures={folder: dict(said["pictures"][folder]) for folder in FOLDERS},
            scores={
                name: Expected(float(each["value"]), float(each["tolerance"]))
                for name, each in said["scores"].items()
            },
            about=dict(said["about"]),
        )
        if not card.scores:
            raise ValueError("scores: none is named")
        for name, each in card.scores.items():
            if not (is_number(each.value) and is_number(each.tolerance) and each.tolerance >= 0):
                raise ValueError(f"scores.{name}: {each.value} ± {each.tolerance}")
        return card
    except OSError as error:
        raise UsageError(f"card={path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"card={path}: not a card ({type(error).__name__}: {why})") from error


def described(folder: Path) -> dict[str, Any]:
    """Return the number of a folder's files and a digest of their names and contents, subfolders included.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"pictures: {folder} is missing; a recipe wants {', '.join(FOLDERS)} in one folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return {"files": len(files), "sha256": hashlib.sha256("".join(lines).encode()).hexdigest()}


def differences(card: Card, pictures: Path) -> list[str]:
    """Return what of the pictures is not as the card says, a line each."""
    found = {name: described(pictures / name) for name in FOLDERS}
    return [
        f"{name}: {found[name]['files']} files, the card's {wanted['files']}"
        + ("" if found[name]["files"] != wanted["files"] else " of other names or contents")
        for name, wanted in card.pictures.items()
        if found[name] != wanted
    ]


def compare(card: Card, scores: Mapping[str, Mapping[str, Any]]) -> list[Compared]:
    """Lay the scores of a `report.json` beside the card's."""
    return [
        Compared(name, float(scores[name]["value"]) if name in scores else None, expected)
        for name, expected in card.scores.items()
    ]
