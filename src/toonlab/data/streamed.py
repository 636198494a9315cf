"""Loaders over sources: endless for training, finite for scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from toonlab.data.domains import check_known
from toonlab.data.ignore import Ignored, IgnoredTwin, read
from toonlab.data.loading import Batches, loader
from toonlab.data.stream import Derive, DomainDraws, Draws, Gallery, Source, Stream, Twin
from toonlab.data.teacher import Teacher, check_all
from toonlab.data.turns import Turns
from toonlab.errors import UsageError, did_you_mean

DRAWN = "drawn"
"""The view of a photo as the teacher drew it."""
DOMAIN = "domain"
"""The number, among `domains`, of a batch's domain of cartoons."""

Parts = Mapping[str, Source]
"""The sources of one domain: `train`, `val` and `test`."""


class StreamedData(LightningDataModule):
    """Endless training batches, and finite loaders for scores; a subclass says where pictures come from.

    Args:
        size: pixels; images are `(3, size, size)` in [-1, 1].
        batch_size: images of each domain in a training batch, on each rank.
        eval_batch_size: images in a batch of the finite loaders.
        workers: processes for each loader; 0 loads in the training process.
        seed: of order and crops.
        zoom: see `random_cut`.
        flip: probability of a mirror image, in training.
        eval_images: most validation images of a domain, evenly spaced; None takes all. Test takes all.
        derived: views that can be made from a cartoon crop, by name.
        teacher: draws the photos, for the view `drawn`.
        extras: the views besides photo and cartoon that the method wants.
        overfit: train on the first batch alone.
        ignore: what is cut off or filled in all pictures of both domains, in every part; see `ignore.read`.
        domains: names of the styles of cartoons, for a method that wants `domain`; others never see them.
        domain_weights: how often each has its turn, where it is not 1; see `Turns`.

    Raises:
        UsageError: an extra that is not offered, a zoom below 1, no such box, or no such domain.
    """

    paired = False
    """Whether a batch's photo and cartoon show the same, pixel by pixel."""

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        eval_batch_size: int,
        workers: int,
        seed: int,
        zoom: tuple[float, float],
        flip: float,
        eval_images: int | None = None,
        derived: Mapping[str, Derive] | None = None,
        teacher: Teacher | None = None,
        extras: Sequence[str] = (),
        overfit: bool = False,
        ignore: str | Mapping[str, Any] | Sequence[Any] | None = None,
        domains: Sequence[str] = (),
        domain_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.domains = tuple(domains) if DOMAIN in extras else ()
        check_known(domain_weights or {}, list(domains), "data.domain_weights")
        self.turns = Turns(dict.fromkeys(domains, 1) | dict(domain_weights or {})) if self.domains else None
        self.ignore = read(ignore)
        offered = dict(derived or {})
        twins: dict[str, Twin] = {DRAWN: IgnoredTwin(teacher.twin)} if teacher else {}
        for name in extras:
            if name == DOMAIN and not self.domains:
                raise UsageError(
                    "the method learns several styles, and this data set has one: use data=multidomain "
                    "photos=DIR domains={NAME: DIR, OTHER: DIR}"
                )
            if name not in offered and name not in twins and name != DOMAIN:
                known = ", ".join(sorted([*offered, *twins])) or "none"
                raise UsageError(
                    f"the method wants the view '{name}', but data.derived offers {known}"
                    f"{did_you_mean(name, offered)}; add data.derived.{name} or take another data config"
                )
        for name, count in {
            "size": size,
            "batch_size": batch_size,
            "eval_batch_size": eval_batch_size,
        }.items():
            if count < 1:
                raise UsageError(f"data.{name}={count}: use 1 or more")
        low, high = zoom
        if not 1 <= low <= high:
            raise UsageError(f"data.zoom=[{low},{high}] must rise from 1 or more: 1 is the whole short side")
        self.size, self.batch_size, self.eval_batch_size, self.workers = (
            size,
            batch_size,
            eval_batch_size,
            workers,
        )
        self.seed, self.zoom, self.flip, self.eval_images = seed, (low, high), flip, eval_images
        self.derived = {name: offered[name] for name in extras if name in offered}
        self.twins = {name: twins[name] for name in extras if name in twins}
        self.teacher, self.overfit = teacher, overfit
        self._sources: dict[str, Parts] = {}

    def open(self) -> dict[str, Parts]:
        """Return the sources of `photo`, and of `cartoon` or each domain's `cartoon/NAME`; called once."""
        raise NotImplementedError

    def prepare_data(self) -> None:
        """Draw the training photos if their drawings are wanted; one process a machine, before the others."""
        self.setup()
        # The files themselves: a drawing is made of the whole photo, and then cut as the photo is.
        paths = getattr(self._sources["photo"]["train"], "paths", None) if self.twins else None
        if self.teacher and paths:
            check_all(self.teacher.prepare(paths))

    def setup(self, stage: str | None = None) -> None:
        self._sources = self._sources or self.open()

    def train_dataloader(self) -> Batches:
        trainer = self.trainer
        world = trainer.world_size if trainer else 1
        common: dict[str, Any] = {
            "photos": self._source("photo", "train"),
            "size": self.size,
            "zoom": self.zoom,
            "flip": self.flip,
            "seed": self.seed,
            "derived": self.derived,
            "twins": self.twins,
        }
        draws = (
            DomainDraws(
                domains={name: self._source("cartoon", "train", name) for name in self.domains},
                turns=self.turns,
                batch_images=self.batch_size * world,
                **common,
            )
            if self.turns
            else Draws(cartoons=self._source("cartoon", "train"), paired=self.paired, **common)
        )
        stream = Stream(
            first_batch=int(getattr(trainer.lightning_module, "batches_consumed", 0)) if trainer else 0,
            batch_size=self.batch_size,
            rank=trainer.global_rank if trainer else 0,
            world=world,
            overfit=self.overfit,
        )
        return loader(
            draws, batch_size=self.batch_size, workers=self.workers, sampler=stream, persistent=True
        )

    def val_dataloader(self, domain: str | None = None) -> list[Batches]:
        return [
            self._gallery("photo", "val", self.eval_images),
            self._gallery("cartoon", "val", self.eval_images, domain),
        ]

    def test_dataloader(self, domain: str | None = None) -> list[Batches]:
        return [self._gallery("photo", "test", None), self._gallery("cartoon", "test", None, domain)]

    def panel(self, n: int, view: str = "photo", domain: str | None = None) -> Tensor:
        """Return the same validation images every time, `(n, 3, size, size)`; fewer if there are fewer."""
        source = self._source(view, "val", domain)
        gallery = Gallery(source, spaced(len(source), n), domain=view, size=self.size)
        return torch.stack([gallery[i][view] for i in range(len(gallery))])

    def _source(self, view: str, part: str, domain: str | None = None) -> Source:
        self.setup()
        source = self._sources[f"{view}/{domain}" if domain else view][part]
        return Ignored(source, self.ignore) if self.ignore else source

    def _gallery(self, view: str, part: str, most: int | None, domain: str | None = None) -> Batches:
        # Not shared out among ranks: rank 0 scores alone, and a score's n must not depend on the devices.
        source = self._source(view, part, domain)
        gallery = Gallery(source, spaced(len(source), most), domain=view, size=self.size)
        return loader(gallery, batch_size=self.eval_batch_size, workers=self.workers)


def spaced(n: int, most: int | None) -> list[int]:
    """Return `range(n)`, or `most` indices of it at even distances."""
    if most is None or most >= n:
        return list(range(n))
    return [i * n // most for i in range(most)]
