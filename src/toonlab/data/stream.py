"""An endless stream of training batches, each computable from its number alone.

Nothing here has a state to save: a run resumes by asking for the next batch number, whatever the number
of workers and however far they had read ahead.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from toonlab import images as im
from toonlab import keyed
from toonlab.data.transforms import centre_crop, random_cut
from toonlab.data.turns import Turns
from toonlab.errors import UsageError

Derive = Callable[[Tensor], Tensor]


class Source(Protocol):
    """Pictures by number, the same whenever asked."""

    def __len__(self) -> int: ...
    def picture(self, index: int) -> Image.Image:
        """Return opaque RGB of any size."""
        ...


Twin = Callable[[Source, int], Image.Image]
"""Another picture of what a source shows, in the same proportions and at any scale."""


class Files:
    """Pictures from files, transparent parts on white."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> Image.Image:
        path = self.paths[index]
        try:
            return im.on_white(im.decode(path))
        except im.BadImageError as error:
            raise UsageError(f"{path} was an image when the run began and is none now: {error}") from error


class Stream(Sampler[int]):
    """Draw numbers from a given batch on, without end.

    Batch `b` of rank `r` has the draws `(b * world + r) * batch_size + i`: ranks share no draw, and
    a run on one device draws what two ranks with half its batch size draw together.

    Args:
        first_batch: where to begin, the number of batches already consumed.
        batch_size: images of each domain in a batch.
        rank: this process among `world`.
        world: processes.
        overfit: repeat batch 0 for ever.
    """

    def __init__(
        self, *, first_batch: int, batch_size: int, rank: int = 0, world: int = 1, overfit: bool = False
    ) -> None:
        self.first_batch, self.batch_size, self.rank, self.world = first_batch, batch_size, rank, world
        self.overfit = overfit

    def __iter__(self) -> Iterator[int]:
        for batch in itertools.count(self.first_batch):
            first = ((0 if self.overfit else batch) * self.world + self.rank) * self.batch_size
            yield from range(first, first + self.batch_size)


class Draws(Dataset[dict[str, Tensor]]):
    """The stream's items: draw number in, `photo`, `cartoon` and derived views `(3, size, size)` out.

    Each domain is shuffled on its own and anew for each of its epochs, so every photo is seen once
    before any is seen twice, and chance pairs never repeat in step.

    Args:
        photos: of them, `n` draws make an epoch.
        cartoons: likewise; of pairs, each at its photo's number.
        paired: every photo comes with its own cartoon, in the same cut.
        size: pixels.
        zoom: see `random_cut`.
        flip: probability of a mirror image.
        seed: of the order and of the crops.
        derived: further views by name, each a function of the finished cartoon crop.
        twins: further views by name, each of a second picture of the photo (a drawing), in the same cut.
    """

    def __init__(
        self,
        *,
        photos: Source,
        cartoons: Source,
        size: int,
        zoom: tuple[float, float],
        flip: float,
        seed: int,
        derived: Mapping[str, Derive],
        twins: Mapping[str, Twin] | None = None,
        paired: bool = False,
    ) -> None:
        self.sources, self.paired = {"photo": photos, "cartoon": cartoons}, paired
        self.size, self.zoom, self.flip, self.seed, self.derived = size, zoom, flip, seed, dict(derived)
        self.twins = dict(twins or {})
        self._orders: dict[str, tuple[int, list[int]]] = {}

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        if self.paired:
            views = self._views("photo", draw, {"cartoon": self._partner, **self.twins})
        else:
            views = self._views("photo", draw, self.twins) | self._views("cartoon", draw, {})
        return views | {name: derive(views["cartoon"]) for name, derive in self.derived.items()}

    def _views(
        self, domain: str, draw: int, twins: Mapping[str, Twin], view: str | None = None
    ) -> dict[str, Tensor]:
        source = self.sources[domain]
        epoch, place = divmod(draw, len(source))
        if self._orders.get(domain, (-1, []))[0] != epoch:
            self._orders[domain] = epoch, keyed.permutation(len(source), self.seed, domain, epoch)
        index = self._orders[domain][1][place]
        picture = source.picture(index)
        generator = keyed.generator(self.seed, f"{domain}-crop", draw)
        cut = random_cut(picture, generator, size=self.size, zoom=self.zoom, flip=self.flip)
        views = {view or domain: cut.of(picture, self.size)}
        return views | {name: cut.of(twin(source, index), self.size) for name, twin in twins.items()}

    def _partner(self, photos: Source, index: int) -> Image.Image:
        return self.sources["cartoon"].picture(index)


class DomainDraws(Draws):
    """Draws of batches whose cartoons are all of one domain: `domain` is its number, a tensor without shape.

    The domain follows from the number of the batch over all ranks, so they agree on it. Each domain's
    cartoons are shuffled for its own epochs, over its own batches: each is seen once before any is seen
    twice. Photos know nothing of domains.

    Args:
        domains: their cartoons by name.
        turns: whose turn it is.
        batch_images: photos in a batch of all ranks together.
        **common: see `Draws`.
    """

    def __init__(
        self, *, photos: Source, domains: Mapping[str, Source], turns: Turns, batch_images: int, **common: Any
    ) -> None:
        super().__init__(photos=photos, cartoons=next(iter(domains.values())), **common)
        self.numbers = {name: torch.tensor(i) for i, name in enumerate(domains)}
        self.sources = {"photo": photos, **{f"cartoon/{name}": source for name, source in domains.items()}}
        self.turns, self.batch_images = turns, batch_images

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        batch, place = divmod(draw, self.batch_images)
        domain, before = self.turns.at(batch)
        views = self._views("photo", draw, self.twins) | self._views(
            f"cartoon/{domain}", before * self.batch_images + place, {}, "cartoon"
        )
        derived = {name: derive(views["cartoon"]) for name, derive in self.derived.items()}
        return views | derived | {"domain": self.numbers[domain]}


class Gallery(Dataset[dict[str, Tensor]]):
    """Pictures in order as centred squares: `{domain: (3, size, size)}`."""

    def __init__(self, source: Source, indices: Sequence[int], *, domain: str, size: int) -> None:
        self.source, self.indices, self.domain, self.size = source, list(indices), domain, size

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {self.domain: centre_crop(self.source.picture(self.indices[index]), size=self.size)}


def init_worker(worker: int) -> None:  # noqa: ARG001 (the loader's signature)
    """Keep a worker to one core, leave Ctrl-C to the main process, and end with it however it ends."""
    cv2.setNumThreads(0)  # torch is limited by its loader, OpenCV has a pool of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # torch's own watchdog looks at the fork server, which lives as long as a worker does: after a kill -9
    # of the main process both would stay for good.
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
