"""A progress bar over iterations; Lightning's counts batches of an epoch that never ends."""

from __future__ import annotations

import sys

from lightning.pytorch import LightningModule, Trainer
from tqdm import tqdm

from toonlab.engine.intervals import IterationCallback
from toonlab.engine.method import ToonMethod


class Progress(IterationCallback):
    """Shows iterations, time left and the two totals.

    Args:
        iterations: the run's length.
        every: iterations between new loss values; reading them waits for the device.
    """

    def __init__(self, *, iterations: int, every: int) -> None:
        self.iterations, self.every = iterations, every
        self._bar: tqdm[None] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and isinstance(pl_module, ToonMethod):
            self._bar = tqdm(
                total=self.iterations,
                initial=pl_module.iteration,
                desc="training",
                unit="it",
                dynamic_ncols=True,
                # In a log file, a line now and then instead of thousands.
                mininterval=0.2 if sys.stderr.isatty() else 10,
            )

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        if self._bar is None:
            return
        self._bar.update()
        if method.iteration % self.every == 0:
            names = {"G": "generator/total", "D": "discriminator/total"}
            self._bar.set_postfix(
                {
                    short: f"{method.latest[name].item():.3f}"
                    for short, name in names.items()
                    if name in method.latest
                },
                refresh=False,
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "fit")  # before the error's own line

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
