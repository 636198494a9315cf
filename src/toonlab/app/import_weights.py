"""`src/import_weights.py`: somebody else's generator as a checkpoint of ours."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from toonlab.app.setup import quiet
from toonlab.digests import file_sha256
from toonlab.engine.checkpoint import load_generator, write_imported
from toonlab.errors import UsageError
from toonlab.networks.arrays import read_arrays
from toonlab.networks.published import convert

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Read `cfg.weights` and write `cfg.output`.

    Raises:
        UsageError: the weights are none we can use, or the output is there already.
    """
    quiet()
    weights, path = Path(cfg.weights).expanduser(), _path(Path(cfg.output).expanduser())
    arrays = read_arrays(weights)
    more = {} if cfg.align_corners is None else {"align_corners": cfg.align_corners}
    try:
        imported = convert(arrays, kind=cfg.kind, channels=cfg.channels, **more)
    except UsageError as error:
        raise UsageError(f"weights={weights}: {error}") from error
    origin = {
        "file": weights.name,
        "sha256": file_sha256(weights),
        "kind": imported.kind,
        "channels": imported.channels,
        "licence": str(cfg.licence or imported.licence),
    }
    config = {"method": {"generator": imported.node}}
    try:
        write_imported(path, imported.state, painting=imported.painting, config=config, origin=origin)
    except OSError as error:
        raise UsageError(
            f"output={cfg.output}: cannot be written ({error.strerror}); name another"
        ) from error
    generator = load_generator(path).generator
    if imported.ignored:
        log.info("left out: %d statistics of norms that do not use them", len(imported.ignored))
    log.info(
        "%s, fed with %s: %s with %s parameters; licence of the weights: %s\nPaint with it:\n"
        "  python src/stylize.py ckpt=%s input=PHOTOS output=CARTOONS",
        imported.kind,
        imported.channels.upper(),
        type(generator).__name__,
        f"{sum(p.numel() for p in generator.parameters()):,}",
        origin["licence"],
        cfg.output,
    )


def _path(output: Path) -> Path:
    """Return the checkpoint's file: the output itself, or the one of a run folder."""
    path = output if output.suffix == ".ckpt" else output / "checkpoints" / "last.ckpt"
    if path.exists():
        raise UsageError(f"output={output}: is there already; name another")
    if any(parent.is_file() for parent in path.parents):
        raise UsageError(
            f"output={output}: lies in or is a file; name a new folder, or a file ending in .ckpt"
        )
    return path
