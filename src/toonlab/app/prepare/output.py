"""The folder that a task writes: made by it alone, and with one choice of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from toonlab.errors import UsageError

SETTINGS = "settings.yaml"


def claim(output: str | Path, *, settings: Mapping[str, Any], sources: Mapping[str, Path]) -> Path:
    """Return the folder as an absolute path, there and ours, with the settings kept in `settings.yaml`.

    Args:
        output: a folder that is new, empty, or from an earlier call with equal settings.
        settings: everything that decides what is written; plain values.
        sources: what the task reads, by key; neither may hold the other, as no source is ever touched.

    Raises:
        UsageError: it holds anything else, it lies in a source or holds one, or it cannot be written.
    """
    folder = Path(output).expanduser().absolute()
    resolved = folder.resolve()
    for key, source in sources.items():
        there = source.expanduser().resolve()
        if there.is_relative_to(resolved) or resolved.is_relative_to(there):
            raise UsageError(
                f"output={output}: this folder and {key}={source} hold each other; name one elsewhere"
            )
    text, kept = OmegaConf.to_yaml(OmegaConf.create(dict(settings))), folder / SETTINGS
    try:
        if kept.is_file():
            if kept.read_text() != text:
                raise UsageError(
                    f"output={output}: was made from other images or settings; name another output=DIR"
                )
            return folder
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"output={output}: is there and not ours; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
    except OSError as error:
        raise UsageError(
            f"output={output}: cannot be written ({error.strerror}); name another folder"
        ) from error
    return folder


def names_of(files: Sequence[Path], root: Path) -> dict[Path, Path]:
    """Return for each file its relative path without suffix; beside `a.jpg`, `a.png` keeps its suffix.

    What a file is called must not depend on what became of the files before it.
    """
    names = dict[Path, Path]()
    taken = set[Path]()
    for file in files:
        name = file.relative_to(root).with_suffix("")
        if name in taken:
            name = file.relative_to(root)
        taken.add(name)
        names[file] = name
    return names
