"""Scores and pictures while training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Protocol, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from toonlab import images as im
from toonlab.engine.intervals import Every
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.records import record, show
from toonlab.errors import UsageError

log = logging.getLogger(__name__)


class Report(Protocol):
    """What a suite computes."""

    def scalars(self) -> dict[str, float]:
        """Flat names and numbers for a log."""
        ...


class Suite(Protocol):
    """A set of metrics; all images `(B, 3, H, W)` in [-1, 1]."""

    def lacks(self, sources: int, targets: int) -> str | None: ...
    def reset(self) -> None: ...
    def add_painted(self, painted: Tensor, source: Tensor) -> None: ...
    def add_targets(self, targets: Tensor) -> None: ...
    def compute(self) -> Report: ...


class HoleSuite(Protocol):
    """Scores of completed pictures; images `(B, 3, H, W)` in [-1, 1], known-masks `(B, 1, H, W)`."""

    def update(self, ours: Tensor, clean: Tensor, known: Tensor) -> None: ...
    def compute(self) -> dict[str, Tensor]: ...


class EvaluationData(Protocol):
    """What callbacks ask of a data module."""

    def val_dataloader(self, domain: str | None = None) -> list[DataLoader[Images]]: ...
    def panel(self, n: int, view: str) -> Tensor: ...


class Evaluate(Every):
    """Scores the averaged generator on the validation images, rank 0 for all.

    Of a method with domains each one that it learns, as `DOMAIN/SCORE`, and their means as `SCORE`.
    Our own loop rather than Lightning's: its intervals count batches since the (re)start, ours iterations.

    Args:
        suite: the metrics.
        every: iterations between evaluations.
        iterations: the run's length.
        holes: makes the metrics of methods that complete pictures; they are scored by these alone.
    """

    def __init__(
        self, *, suite: Suite, every: int, iterations: int, holes: Callable[[], HoleSuite] | None = None
    ) -> None:
        super().__init__(every=every, iterations=iterations)
        self.suite, self.able, self.holes = suite, True, holes

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out before training, not after hours of it, whether there are images enough to score."""
        if cast("ToonMethod", pl_module).completes:
            return
        data = cast("EvaluationData", trainer.datamodule)  # type: ignore[attr-defined]
        method, self.able = cast("ToonMethod", pl_module), True
        for domain in _trained(method):
            loaders = _ordered(data, method, *domain)
            reason = self.suite.lacks(*(len(cast("Sized", loader.dataset)) for loader in loaders))
            self.able = self.able and reason is None
            if reason and trainer.is_global_zero:
                reason = ": ".join([*domain, reason])
                log.warning("Training without validation scores and without best.ckpt: %s", reason)

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        if not self.able:
            return
        scores: dict[str, float] = {}
        if trainer.is_global_zero:
            scores = {f"val/{name}": value for name, value in self._score(trainer, method).items()}
            record(trainer, method.iteration, scores)
        # Every rank must know the scores: saving the best checkpoint is a joint act.
        method.scores, method.scored_at = trainer.strategy.broadcast(scores), method.iteration

    def _score(self, trainer: Trainer, method: ToonMethod) -> Mapping[str, float]:
        by_domain = {domain: self._score_one(trainer, method, *domain) for domain in _trained(method)}
        if () in by_domain:
            return by_domain[()]
        single = {f"{name}/{key}": value for (name,), row in by_domain.items() for key, value in row.items()}
        names = next(iter(by_domain.values()))
        return {name: fmean(row[name] for row in by_domain.values()) for name in names} | single

    def _score_one(self, trainer: Trainer, method: ToonMethod, *domain: str) -> Mapping[str, float]:
        data = cast("EvaluationData", trainer.datamodule)  # type: ignore[attr-defined]
        sources, targets = _ordered(data, method, *domain)
        if method.completes:
            return self._score_holes(trainer, method, sources)
        self.suite.reset()
        described = " ".join(["validating", *domain])
        with painting(trainer, method), tqdm(desc=described, unit="batch", leave=False) as bar:
            for batch in sources:
                source = batch[method.source].to(method.device)
                self.suite.add_painted(method(source, *domain), source)
                bar.update()
            for batch in targets:
                self.suite.add_targets(batch[method.target].to(method.device))
                bar.update()
        return self.suite.compute().scalars()

    def _score_holes(
        self, trainer: Trainer, method: ToonMethod, sources: DataLoader[Images]
    ) -> Mapping[str, float]:
        if self.holes is None:
            raise UsageError("callbacks.evaluate.holes: this method is scored by it; name a metric")
        suite, first = self.holes(), 0
        with painting(trainer, method):
            for batch in tqdm(sources, desc="validating", unit="batch", leave=False):
                photos = batch[method.source].to(method.device)
                suite.update(*method.completed(photos, first))
                first += len(photos)
        return {name: float(value) for name, value in suite.compute().items()}


def _trained(method: ToonMethod) -> list[tuple[str, ...]]:
    """Return what to call a painter with besides the photo, once for each style: nothing if there is one."""
    return [(domain,) for domain in method.trained] or [()]


def _ordered(data: EvaluationData, method: ToonMethod, *domain: str) -> list[DataLoader[Images]]:
    """Return the loaders of what the method paints, and of what the results should look like."""
    photos, cartoons = data.val_dataloader(*domain)
    return [photos, cartoons] if method.source == "photo" else [cartoons, photos]


class Panels(Every):
    """Paints the same validation photos again and again, in the columns that the method names.

    Args:
        photos: how many.
        every: iterations between pictures.
        iterations: the run's length.
    """

    def __init__(self, *, photos: int, every: int, iterations: int) -> None:
        super().__init__(every=every, iterations=iterations)
        self.photos = photos

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, ToonMethod) and pl_module.iteration == 0:
            self.run(trainer, pl_module)

    def run(self, trainer: Trainer, method: ToonMethod) -> None:
        if not trainer.is_global_zero:
            return
        data = cast("EvaluationData", trainer.datamodule)  # type: ignore[attr-defined]
        photos = data.panel(self.photos, method.source)
        with painting(trainer, method):
            # One at a time: a panel of 256-pixel photos must not need more memory than training.
            panels = [
                method.panel(photo[None].to(method.device), i)
                for i, photo in enumerate(tqdm(photos, desc="samples", unit="photo", leave=False, delay=2))
            ]
        rows = [[im.to_picture(image[0]) for image in panel.values()] for panel in panels]
        page = im.sheet(rows, list(panels[0]))
        path = Path(trainer.default_root_dir) / "samples" / f"{method.iteration:07d}.png"
        im.save(page, path)
        show(trainer, method.iteration, path)


@contextmanager
def painting(trainer: Trainer, method: ToonMethod) -> Iterator[None]:
    """Evaluation mode, no graph, and the run's precision; training mode afterwards."""
    method.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            yield
    finally:
        method.train()
