"""One run on several devices: a process for each, which share every batch out and agree on every step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from toonlab.engine.processes import Processes

_LONG = timedelta(days=365)


class Ranks(DDPStrategy):
    """Data-parallel training of methods whose sides take turns; rank 0 scores, paints and writes.

    Of a loss, most parameters are unused: the other side's, and other styles'. What the ranks tell each
    other besides gradients goes through their processors. So nothing waits for a GPU, and the others may
    wait for rank 0's scores and files as long as these take, where NCCL gives up after half an hour.

    Args:
        command: what the further processes run; see `Processes`.
        **common: see Lightning's `DDPStrategy`.
    """

    def __init__(self, *, command: Sequence[str] | None = None, **common: Any) -> None:
        super().__init__(find_unused_parameters=True, **common)
        self.command = command
        self.side: ProcessGroup | None = None

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None  # noqa: S101 (Lightning's own contract)
        self._launcher = Processes(
            self.cluster_environment, self.num_processes, self.num_nodes, command=self.command
        )

    def setup_distributed(self) -> None:
        super().setup_distributed()
        self.side = cast("ProcessGroup", torch.distributed.new_group(backend="gloo", timeout=_LONG))

    def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
        # Feature networks are frozen into buffers that are in no checkpoint: equal from the start, and
        # DDP would send all of VGG19 to every rank before each batch.
        saved = model.state_dict().keys()
        constant = [name for name, _ in model.named_buffers() if name not in saved]
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(model, constant)  # type: ignore[no-untyped-call]
        return super()._setup_model(model)

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        if self.side is not None:
            torch.distributed.barrier(group=self.side)

    def teardown(self) -> None:
        super().teardown()
        self.side = None

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        if self.side is None:
            return obj
        held = [obj]
        torch.distributed.broadcast_object_list(held, src, group=self.side)
        return held[0]


def largest(trainer: Trainer, value: int) -> int:
    """Return the largest of all ranks' values; each must ask."""
    if trainer.world_size == 1:
        return value
    side = getattr(trainer.strategy, "side", None)
    held = torch.tensor(value, device="cpu" if side else trainer.strategy.root_device)
    torch.distributed.all_reduce(held, torch.distributed.ReduceOp.MAX, group=side)
    return int(held)


def means(trainer: Trainer, values: dict[str, Tensor]) -> dict[str, float]:
    """Return each scalar's mean over the ranks; each must ask, for the same names."""
    if trainer.world_size == 1 or not values:
        return {name: value.item() for name, value in values.items()}
    # Double: a mean of a thousand times the same number is that number.
    total: Tensor = torch.stack([value.double() for value in values.values()])
    torch.distributed.all_reduce(total)
    return dict(zip(values, (total / trainer.world_size).tolist(), strict=True))


def collected(trainer: Trainer | None, value: Any) -> list[Any]:
    """Return, on rank 0, the values of all ranks in their order; elsewhere an empty list. Each must ask."""
    if trainer is None or trainer.world_size == 1:
        return [value]
    values = [None] * trainer.world_size if trainer.is_global_zero else None
    torch.distributed.gather_object(value, values, group=getattr(trainer.strategy, "side", None))
    return list(values or [])
