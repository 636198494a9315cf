"""One of two processes that train every shipped method together; run by tests/methods/test_two_ranks.py.

LOCAL_RANK=0|1 WORLD_SIZE=2 MASTER_ADDR=… MASTER_PORT=… python two_ranks.py FOLDER
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from shipped import DISTINCT, batch_for, shipped
from toonlab.engine.method import Images, ToonMethod
from toonlab.engine.pool import ImagePool
from toonlab.engine.ranks import Ranks
from toonlab.representations.texture import ColourShift

ITERATIONS, HALF, PLAIN = 3, 2, 2
POOL = 2
"""Images of a history: full after two iterations of one image, so that the third may swap."""

RATE = {"animegan_v1": 1e-7, "animegan_v2": 1e-7}
"""Their weights are in the hundreds: at a larger one they fly apart, and rounding errors with them."""


def as_shipped(name: str) -> ToonMethod:
    """A method with its own losses, one iteration of its warm-up, and a short history."""
    method = shipped(name, pool_size=POOL)
    method.warmup_iterations = 1 if method.warmup_weights else 0
    return method


def without_draws(name: str) -> ToonMethod:
    """A method whose losses draw nothing at random; plain descent, whose steps are as large as gradients."""
    method = as_shipped(name)
    method.warmup_iterations = 0
    method.adversarial.soft = 0.0
    if hasattr(method, "texture"):
        method.texture = ColourShift(red=(0.3, 0.3), green=(0.6, 0.6), blue=(0.1, 0.1))
    for pool in (module for module in method.modules() if isinstance(module, ImagePool)):
        pool.size = 0
    method.optimizer = method.discriminator_optimizer = lambda p: torch.optim.SGD(p, lr=RATE.get(name, 1e-3))
    return method


def whole_batches(method: ToonMethod) -> list[Images]:
    return [batch_for(method, seed=i // 2 if method.domains else i) for i in range(ITERATIONS)]


def share(batches: list[Images], rank: int) -> list[Images]:
    """The images of one of two ranks."""
    return [{view: images[rank : rank + 1] for view, images in batch.items()} for batch in batches]


def tensors(method: ToonMethod) -> dict[str, torch.Tensor]:
    return {name: value for name, value in method.state_dict().items() if isinstance(value, torch.Tensor)}


def histories(method: ToonMethod) -> dict[str, torch.Tensor]:
    state = method.state_dict()
    return {name: value["kept"] for name, value in state.items() if name.endswith("_extra_state")}


def fit(method: ToonMethod, batches: list[Images], ckpt: Path | None = None) -> None:
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=Ranks(),
        max_epochs=1,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, DataLoader(batches, batch_size=None), ckpt_path=ckpt, weights_only=bool(ckpt))


def train(name: str, folder: Path, rank: int) -> None:
    whole, second, plain = as_shipped(name), as_shipped(name), without_draws(name)
    batches = share(whole_batches(whole), rank)

    def save_half_way(*_: object) -> None:
        if whole.iteration == HALF:
            whole.trainer.save_checkpoint(folder / f"{name}.ckpt", weights_only=False)

    whole.on_train_batch_end = save_half_way
    fit(whole, batches)
    fit(second, batches[HALF:], folder / f"{name}.ckpt")
    fit(plain, batches[:PLAIN])
    result = {
        "whole": tensors(whole),
        "histories": histories(whole),
        "resumed": tensors(second),
        "resumed_histories": histories(second),
        "plain": tensors(plain),
        "latest": whole.latest,
    }
    torch.save(result, folder / f"{name}.{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    names = sys.argv[2:] or DISTINCT
    for each in names:
        begun = time.monotonic()
        train(each, Path(sys.argv[1]), int(os.environ["LOCAL_RANK"]))
        print(each, f"{time.monotonic() - begun:.1f} s", flush=True)  # noqa: T201
