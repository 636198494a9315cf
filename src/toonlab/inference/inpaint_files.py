"""Damaged photos to completed cartoons, file by file, with what one looks at and scores them by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from toonlab import images
from toonlab.errors import UsageError
from toonlab.inference.batch import OnPart, Outcome, each_job
from toonlab.inference.cartoon_file import write
from toonlab.inference.inpainter import Inpainter
from toonlab.inference.masks import Masks
from toonlab.inference.planning import Job, Plan
from toonlab.inference.stylizer import Stylizer

Row = dict[str, Any]
Measure = Callable[[Tensor, Tensor, Tensor], dict[str, float]]
"""Scores of result and clean cartoon, `(1, 3, H, W)`, in the hole of `(1, 1, H, W)`."""


class InpaintFiles:
    """Writes NAME.png, NAME_candidate_1.png … and NAME_strip.png for each photo.

    Args:
        inpainter: completes.
        stylizer: paints whole photos with the same generator.
        masks: of the photos.
        candidates: how many to ask for.
        measure: scores a result where there is a clean cartoon.
        record: is given a row for each photo that is done.
    """

    def __init__(
        self,
        inpainter: Inpainter,
        stylizer: Stylizer,
        masks: Masks,
        *,
        candidates: int,
        measure: Measure,
        record: Callable[[Row], None],
    ) -> None:
        self.inpainter, self.stylizer, self.masks = inpainter, stylizer, masks
        self.candidates, self.measure, self.record = candidates, measure, record
        self.whole: list[Path] = []
        """Photos of which nothing was missing."""
        self.fewest = candidates
        """The fewest candidates that a photo got."""

    def all(self, plan: Plan, *, progress: bool) -> Outcome:
        """Do what was planned; see `each_job`."""
        outcome = Outcome(plan=plan, deed="completed")
        return each_job(self.one, outcome, what="inpaint", part="step", progress=progress)

    def one(self, job: Job, on_step: OnPart) -> None:
        """Complete one photo. Its cartoon is written last: where it is, everything is.

        Raises:
            BadImageError: photo or mask cannot be decoded.
            UsageError: the mask does not fit.
        """
        started = time.monotonic()
        picture = images.decode(job.source)
        photo = images.to_tensor(picture.rgb)[None]
        known = self.masks.of(job.source, *photo.shape[-2:])[None]
        clean = self.stylizer.paint(photo) if self.masks.made_up or known.all() else None
        row = {"photo": self.masks.place(job.source).as_posix(), "mask": self.masks.name(job.source)}
        row["missing"] = f"{1 - float(known.mean()):.4f}"
        if known.all():
            assert clean is not None  # noqa: S101 (for mypy)
            self.whole.append(job.source)
            result, found = clean, []
        else:
            done = self.inpainter.complete(photo, known, candidates=self.candidates, on_step=on_step)
            result, found = done.result, list(done.candidates[0])
            self.fewest = min(self.fewest, len(found))
            if clean is not None:
                row |= {name: f"{score:.6g}" for name, score in self.measure(result, clean, known).items()}
        _forget(job.target, len(found))
        for path, cartoon in zip(candidate_paths(job.target, len(found)), found, strict=True):
            images.save(images.to_picture(cartoon), path)
        masked = torch.where(known > 0.5, photo, torch.zeros_like(photo))
        images.save(_strip(photo, masked, result, clean), strip_path(job.target))
        # The row before the cartoon: killed in between, the photo is done again and its row replaced.
        self.record(row | {"seconds": f"{time.monotonic() - started:.2f}"})
        write(result[0], job.target, photo=picture)


def candidate_paths(target: Path, candidates: int) -> list[Path]:
    """Return where candidates go, for a cartoon at `target`."""
    return [target.with_name(f"{target.stem}_candidate_{i + 1}.png") for i in range(candidates)]


def _forget(target: Path, candidates: int) -> None:
    """Remove an earlier run's candidates beyond these many: they would pass for this one's."""
    while (path := candidate_paths(target, candidates + 1)[-1]).is_file():
        path.unlink()
        candidates += 1


def strip_path(target: Path) -> Path:
    """Return where the strip goes, for a cartoon at `target`."""
    return target.with_name(f"{target.stem}_strip.png")


def check_names(jobs: Iterable[Job], candidates: int) -> None:
    """Refuse photos whose names are taken by another photo's candidates or strip.

    Raises:
        UsageError: one is.
    """
    owner = dict[Path, Path]()
    for job in jobs:
        for path in (job.target, *candidate_paths(job.target, candidates), strip_path(job.target)):
            if path in owner:
                both = f"{owner[path].name} and {job.source.name}"
                raise UsageError(f"input: {both} would both write {path.name}: rename one")
            owner[path] = job.source


def _strip(photo: Tensor, masked: Tensor, result: Tensor, clean: Tensor | None) -> Image.Image:
    panels = {"photo": photo, "masked": masked, "result": result}
    if clean is not None:
        panels["clean cartoon"] = clean
    return images.sheet([[images.to_picture(panel[0]) for panel in panels.values()]], list(panels))
