"""TensorBoard: `RUN_DIR/tensorboard`, through Lightning's logger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from PIL import Image

FOLDER = "tensorboard"


class TensorBoardMirror(TensorBoardLogger):
    """Event files: scalars and pictures by iteration, the config as text and for the HPARAMS page.

    A resumed run opens another file, which takes back what a killed one wrote after its last checkpoint.
    """

    def __init__(self, cfg: DictConfig, folder: Path, *, done: int) -> None:
        self.is_new = not list((folder / FOLDER).glob("events.out.tfevents.*"))
        purge: dict[str, Any] = {} if self.is_new else {"purge_step": done + 1}
        super().__init__(
            str(folder), name="", version=FOLDER, default_hp_metric=False,
            flush_secs=cfg.tensorboard.flush_secs, **purge,
        )  # fmt: skip
        self._monitor = str(cfg.callbacks.checkpoints.monitor)
        whole: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        self._whole = whole
        self.log_hyperparams(whole)
        self.experiment.add_text("config", f"```yaml\n{OmegaConf.to_yaml(whole)}```", done)
        self._summarise(begin=True)

    @rank_zero_only
    def log_image(self, key: str, images: Iterable[str], step: int | None = None, **_: Any) -> None:
        for path in images:
            with Image.open(path) as picture:
                self.experiment.add_image(key, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def finalize(self, status: str) -> None:
        """Lightning calls this a success after Ctrl-C, too: `close` has the last word."""
        if self._experiment is not None:
            self.experiment.flush()

    def close(self, status: str) -> None:
        if self._experiment is not None:
            if status == "finished":
                self._summarise(begin=False)
            self._experiment.close()

    @rank_zero_only
    def _summarise(self, *, begin: bool) -> None:
        from torch.utils.tensorboard.summary import hparams  # after the check that there is a tensorboard

        settings = dict(_flat(self._whole, ""))
        experiment, started, ended = hparams(settings, {self._monitor: 0.0})  # type: ignore[no-untyped-call]
        for summary in (experiment, started) if begin else (ended,):
            self.experiment._get_file_writer().add_summary(summary)


def _flat(node: Any, prefix: str) -> Iterable[tuple[str, bool | float | int | str]]:
    """Yield dotted keys with what the HPARAMS page can show: numbers, and words for all else."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node if isinstance(node, bool | int | float) else str(node)
