"""The run's own record: `metrics.jsonl` always, mirrored to whatever logger there is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from toonlab.engine.intervals import Every
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.ranks import means
from toonlab.engine.whole import write_whole
from toonlab.errors import UsageError


def record(trainer: Trainer, iteration: int, scalars: Mapping[str, float]) -> None:
    """Append a line to `metrics.jsonl` in the run folder and tell the loggers; rank 0 only."""
    if not trainer.is_global_zero:
        return
    line = {"iteration": iteration, **scalars}
    with _path(trainer).open("a") as file:
        file.write(json.dumps(line) + "\n")
    for logger in trainer.loggers:
        logger.log_metrics(dict(scalars), step=iteration)


def show(trainer: Trainer, iteration: int, picture: Path) -> None:
    """Tell the loggers of a sample sheet, a PNG in the run folder."""
    for logger in trainer.loggers:
        _show(logger, iteration, picture)


def replay(logger: Logger, folder: Path, until: int) -> None:
    """Tell a logger that knows nothing yet what the run folder holds of the iterations up to `until`."""
    metrics = folder / "metrics.jsonl"
    for line in metrics.read_text().splitlines() if metrics.exists() else ():
        scalars = _parsed(line)
        if scalars and (iteration := int(scalars.pop("iteration"))) <= until:
            logger.log_metrics(scalars, step=iteration)
    for picture in sorted((folder / "samples").glob("*.png")):
        if (iteration := int(picture.stem)) <= until:
            _show(logger, iteration, picture)


def _show(logger: Logger, iteration: int, picture: Path) -> None:
    if hasattr(logger, "log_image"):
        logger.log_image("panel", [str(picture)], step=iteration, caption=[f"iteration {iteration}"])


def _path(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "metrics.jsonl"


class Records(Every):
    """Writes the losses, the learning rates and the throughput, and refuses to go on without numbers.

    Args:
        every: iterations between lines.
        iterations: the run's length.
    """

    def __init__(self, *, every: int, iterations: int) -> None:
        super().__init__(every=every, iterations=iterations)
        self.seconds = 0.0
        self.images = 0
        self._mark = 0.0
        self._images_at_mark = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restart_clock()
        if trainer.is_global_zero and isinstance(pl_module, ToonMethod):
            _forget_after(_path(trainer), pl_module.iteration)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Images, batch_idx: int
    ) -> None:
        self.images += len(batch["photo"]) * trainer.world_size

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        values = means(trainer, method.latest)  # so all ranks see a divergence of one
        seconds = time.perf_counter() - self._mark
        self.seconds += seconds
        speed = (self.images - self._images_at_mark) / max(seconds, 1e-9)
        self._restart_clock()
        sides = zip(("generator", "discriminator"), trainer.optimizers, strict=True)
        rates = {f"lr/{side}": optimizer.param_groups[0]["lr"] for side, optimizer in sides}
        scheduled = {**method.scheduled(), **rates, "images_per_second": round(speed, 3)}
        record(trainer, method.iteration, {**values, **scheduled})
        if bad := sorted(name for name, value in values.items() if not math.isfinite(value)):
            raise UsageError(
                f"{bad[0]} is {values[bad[0]]} at iteration {method.iteration}: training has diverged; lower "
                "method.optimizer.lr or set method.clip_norm=1; the last good state is checkpoints/last.ckpt"
            )

    def _restart_clock(self) -> None:
        self._mark, self._images_at_mark = time.perf_counter(), self.images

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.images = state_dict["seconds"], state_dict["images"]


def _forget_after(path: Path, iteration: int) -> None:
    """Drop lines that a killed run wrote after its last checkpoint: they are about to be written again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        scalars = _parsed(line)
        if scalars and scalars["iteration"] <= iteration:
            kept.append(line + "\n")
    write_whole(path, "".join(kept))


def _parsed(line: str) -> dict[str, float] | None:
    """Return a line's numbers; None if a kill hit the middle of it, which is necessarily the last."""
    try:
        scalars: dict[str, float] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return scalars
