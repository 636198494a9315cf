"""The folder as a whole: our page, the runtime, the networks. Written beside its place, then renamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from toonlab.engine.whole import whole_folder
from toonlab.errors import UsageError
from toonlab.inference.web.network import Style, manifest, write_network

MANIFEST = "networks.json"


def check_folder(output: Path, *, overwrite: bool) -> None:
    """Refuse a place that something else than a page of ours holds.

    Raises:
        UsageError: it is taken.
    """
    if any(parent.is_file() for parent in (output, *output.parents)):
        raise UsageError(f"output={output}: is a file or lies in one; kind=web writes a folder, name one")
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"output={output}: is there already; name another folder, or say overwrite=true")
    if not {MANIFEST, "index.html", "worker.js"} <= {path.name for path in output.iterdir()}:
        raise UsageError(
            f"output={output}: overwrite=true replaces pages of ours, and this folder holds something else"
        )


def write_folder(
    output: Path,
    styles: Sequence[Style],
    *,
    runtime: Mapping[str, bytes],
    about: Mapping[str, Any],
    weights: str,
    tile: int,
    on_style: Callable[[str], None] | None = None,
) -> None:
    """Write the page of `styles` to `output`, all of it or nothing; what was there is replaced.

    Args:
        output: a folder that may be written, see `check_folder`.
        styles: in the order of the menu.
        runtime: the files of `ort/`.
        about: `title`, `toonlab` (its version), `sizes`, `size`, `limits`: what the page has to know.
        weights: `float16` or `float32`.
        tile: side in pixels of the largest square painted at once.
        on_style: called with each style's name when its turn comes.

    Raises:
        UsageError: see `write_network`.
    """
    with whole_folder(output) as part:
        (part / "ort").mkdir()
        for name, content in runtime.items():
            (part / "ort" / name).write_bytes(content)
        for source in files("toonlab.inference.web").joinpath("page").iterdir():
            (part / source.name).write_bytes(source.read_bytes())
        networks = []
        for number, style in enumerate(styles, start=1):
            if on_style:
                on_style(style.name)
            networks.append(write_network(style, part, number=number, weights=weights, tile=tile))
        sizes = {f"ort/{name}": len(content) for name, content in runtime.items()}
        whole = {**about, "tile": tile, "runtime": {"files": sizes}}
        (part / MANIFEST).write_text(manifest(networks, whole), encoding="utf-8")
