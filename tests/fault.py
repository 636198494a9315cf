"""A callback that fails as a file does that is gone: on one rank alone."""

from __future__ import annotations

from lightning.pytorch import Trainer

from toonlab.engine.intervals import IterationCallback
from toonlab.engine.method import ToonMethod
from toonlab.errors import UsageError


class Fault(IterationCallback):
    """Fails after iteration `at` in the process `rank`."""

    def __init__(self, *, rank: int, at: int) -> None:
        self.rank, self.at = rank, at

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        if trainer.global_rank == self.rank and method.iteration == self.at:
            raise UsageError("photo.png was an image when the run began and is none now")
