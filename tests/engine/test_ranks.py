"""What the ranks have of their own, and what they share: without starting any."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from shipped import shipped
from tiny import quiet_trainer, same
from toonlab.engine.method import ToonMethod
from toonlab.engine.pool import ImagePool
from toonlab.engine.ranks import Ranks, collected, largest, means


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def test_one_process_asks_nobody() -> None:
    trainer = quiet_trainer()
    assert largest(trainer, 15) == 15
    assert means(trainer, {"loss": torch.tensor(0.5)}) == {"loss": 0.5}
    assert collected(trainer, "mine") == collected(None, "mine") == ["mine"]


@pytest.mark.parametrize(("saved_by", "resumed_by"), [(2, 2), (1, 3), (3, 2), (2, 5)])
def test_a_rank_takes_the_history_of_its_number_modulo_those_that_saved(
    monkeypatch: pytest.MonkeyPatch, saved_by: int, resumed_by: int
) -> None:
    states = [{"pool._extra_state": {"kept": numbered(rank)}} for rank in range(saved_by)]
    about = {"iteration": 7, "scores": {}, "scored_at": 0}
    if saved_by > 1:
        about["other_ranks"] = states[1:]
    for rank in range(resumed_by):
        method = shipped("gan_v1", pool_size=1)
        monkeypatch.setattr(ToonMethod, "global_rank", rank)
        checkpoint = {"toonlab": about, "state_dict": method.state_dict() | states[0]}
        method.on_load_checkpoint(checkpoint)
        method.load_state_dict(checkpoint["state_dict"])
        assert torch.equal(torch.stack(method.pool.kept), numbered(rank % saved_by))
        monkeypatch.undo()


def test_a_pool_never_reads_its_images() -> None:
    """On the meta device there are no values: to look at one, for which a GPU would be waited for, fails."""
    pool, rng = ImagePool(2), torch.Generator().manual_seed(0)
    for _ in range(8):
        assert pool.query(torch.empty(2, 3, 4, 4, device="meta"), rng).shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match="on the processor, not on meta"):
        pool.query(numbered(1), SimpleNamespace(device=torch.device("meta")))


def test_a_batch_keeps_its_domain_on_the_processor() -> None:
    method = shipped("adapted_cartoongan", "data=synthetic")
    batch = {"photo": numbered(1), "domain": torch.tensor([1])}
    moved = method.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["photo"].device.type == "meta"
    assert method.domain_of(moved) == "three"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_a_pool_does_not_wait() -> None:
    pool, rng = ImagePool(2), torch.Generator().manual_seed(0)
    images = [numbered(i, i + 1).cuda() for i in range(8)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for each in images:
            pool.query(each, rng)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_frozen_features_are_not_sent_from_rank_to_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    method, wrapped = shipped("whitebox"), []
    monkeypatch.setattr(
        DistributedDataParallel, "__init__", lambda _self, module, **_: wrapped.append(module)
    )
    Ranks(parallel_devices=[torch.device("cpu")])._setup_model(method)
    assert wrapped == [method]
    ignored, saved = set(method._ddp_params_and_buffers_to_ignore), method.state_dict().keys()
    assert any(name.startswith("features.") for name in ignored)
    assert not ignored & saved
    assert not ignored & dict(method.named_parameters()).keys()
    sent = sum(b.numel() for name, b in method.named_buffers() if name not in ignored)
    held = sum(b.numel() for b in method.buffers())
    assert sent < 0.02 * held
    same(dict(method.state_dict()), dict(shipped("whitebox").state_dict()))
