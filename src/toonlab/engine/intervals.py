"""Callbacks that count iterations, and the two that end a run."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.ranks import largest

log = logging.getLogger(__name__)


class IterationCallback(Callback):
    """Calls `on_iteration` once for each finished iteration, however many batches it took."""

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        raise NotImplementedError

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Images, batch_idx: int
    ) -> None:
        if isinstance(pl_module, ToonMethod) and pl_module.between_iterations:
            self.on_iteration(trainer, pl_module)


class Every(IterationCallback):
    """Calls `run` at each multiple of `every` iterations and at the last one.

    Args:
        every: iterations.
        iterations: the run's length.
    """

    def __init__(self, *, every: int, iterations: int) -> None:
        self.every, self.iterations = every, iterations

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        if method.iteration % self.every == 0 or method.iteration == self.iterations:
            self.run(trainer, method)

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        raise NotImplementedError


class Budget(IterationCallback):
    """Ends the run after so many iterations, counted over all its resumes."""

    def __init__(self, *, iterations: int) -> None:
        self.iterations = iterations

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Killed after its last save: nothing is left to train.
        if isinstance(pl_module, ToonMethod) and pl_module.iteration >= self.iterations:
            trainer.should_stop = True

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        if method.iteration >= self.iterations:
            trainer.should_stop = True


class Interrupt(IterationCallback):
    """Turns the first Ctrl-C or SIGTERM into a clean stop after the iteration at hand.

    In the middle of an iteration the generator has moved and the discriminator has not: a checkpoint of
    that could not be resumed exactly. A second Ctrl-C stops at once and saves nothing more.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        log.warning("Stopping after this iteration, then saving; again to stop at once.")

    def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
        # The ranks must leave after the same iteration, with the same exit code, whoever got the signal.
        if agreed := largest(trainer, self.received or 0):
            self.received = agreed
            trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
