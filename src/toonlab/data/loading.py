"""Loaders: how their worker processes start, and that they leave the global random stream alone."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import BaseContext

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from toonlab.data.stream import Draws, Gallery, Stream, init_worker

Batches = DataLoader[dict[str, Tensor]]


def loader(
    dataset: Draws | Gallery,
    *,
    batch_size: int,
    workers: int,
    sampler: Stream | None = None,
    persistent: bool = False,
) -> Batches:
    """Return a loader of `dataset`.

    Args:
        dataset: what is loaded.
        batch_size: images of each view in a batch.
        workers: processes; 0 loads in this one.
        sampler: says which draws; None takes all of a gallery in order.
        persistent: keep the processes from one iteration over the loader to the next.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=init_worker,
        multiprocessing_context=_processes() if workers else None,
        # A loader draws a seed for its workers; ours use none, and the global stream stays untouched.
        generator=torch.Generator(),
    )


def _processes() -> BaseContext:
    """Return how workers start: from a clean server process that has the libraries loaded.

    A plain fork copies locks in whatever state other threads hold them (OpenMP, OpenCV, progress bars,
    W&B), and a worker then waits for ever; a spawned worker imports torch anew, seconds each.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.utils.data", "cv2"])
    return context
