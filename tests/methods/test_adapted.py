"""AdaptedCartoonGAN: a batch trains its own style and the trunk, a new style nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from shipped import batch_for, shipped
from tiny import quiet_trainer, same
from toonlab.engine.method import Images
from toonlab.methods.adapted import AdaptedCartoonGAN, nearest
from toonlab.methods.cartoongan import CartoonGAN

KINDS = ["parallel", "series", "low_rank", "norm"]
NO_WARMUP = "method.warmup_iterations=0"


def adapted(*overrides: str, **small) -> AdaptedCartoonGAN:
    method = shipped("adapted_cartoongan", "data=synthetic", NO_WARMUP, *overrides, rank=2, **small)
    assert isinstance(method, AdaptedCartoonGAN)
    return method


def fit(method: CartoonGAN, batches: list[Images]) -> None:
    quiet_trainer().fit(method, DataLoader(batches, batch_size=None))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def of(domain: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if f"@{domain}." in name}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# One batch, one style ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_gradients_to_the_trunk_and_its_own_style_only(kind: str) -> None:
    method, seen = adapted(f"method.kind={kind}"), []

    def look(_optimizer) -> None:
        reached = [name for name, p in method.named_parameters() if p.grad is not None]
        seen.append(
            {name.split(".styles.")[-1].split(".")[0] if "@" in name else "trunk" for name in reached}
        )

    method.on_before_optimizer_step = look
    fit(method, [batch_for(method, seed=i) for i in (0, 1)])
    assert seen == [{"trunk", "@two"}] * 2 + [{"trunk", "@three"}] * 2  # generator, discriminator; twice


@pytest.mark.parametrize("kind", KINDS)
def test_momentum_does_not_move_a_style_whose_turn_it_is_not(kind: str) -> None:
    method, history = adapted(f"method.kind={kind}"), []
    history.append(state(method))
    method.on_train_batch_end = lambda *_: history.append(state(method))
    fit(method, [batch_for(method, seed=i) for i in range(4)])
    for i, (before, after) in enumerate(pairwise(history)):
        mine, other = ("two", "three") if i % 2 == 0 else ("three", "two")
        raw = {name for name in moved(before, after) if not name.startswith("ema.")}
        assert not raw & of(other, before).keys()
        for network in ("generator", "discriminator"):
            assert any(name.startswith(network) for name in raw & of(mine, before).keys())
            assert any(name.startswith(f"{network}.trunk") for name in raw)


def test_with_norms_alone_and_one_style_it_is_cartoongan_to_the_bit() -> None:
    method = adapted("method.kind=norm", "data.domains=[only]", "method.pool_size=0")
    plain = shipped("cartoongan", "data=synthetic", NO_WARMUP)
    for name in ("generator", "discriminator"):
        getattr(plain, name).load_state_dict(getattr(method, name).fold("only").state_dict())
    plain.ema.average.load_state_dict(plain.generator.state_dict())
    batches = [batch_for(method, seed=i) for i in range(3)]
    fit(method, batches)
    fit(plain, batches)
    for mine, theirs in (
        (method.generator, plain.generator),
        (method.discriminator, plain.discriminator),
        (method.ema.average, plain.ema.average),
    ):
        same(dict(mine.fold("only").state_dict()), dict(theirs.state_dict()))


def test_each_domain_has_a_history_of_its_own() -> None:
    method = adapted(pool_size=3)
    batches = [batch_for(method, seed=i) for i in (0, 1, 0)]
    shown: list[tuple[str, Tensor]] = []
    for batch in batches:
        views = {"cartoon": batch["photo"]}
        shown.append((method.domain_of(batch), method.fakes(batch, views)))
    assert [domain for domain, _ in shown] == ["two", "three", "two"]
    kept = {name: pool.kept for name, pool in method.pools.items()}
    assert {name: len(images) for name, images in kept.items()} == {"@two": 3, "@three": 2}
    assert torch.equal(torch.stack(kept["@three"]), batches[1]["photo"])


# The config --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parameters", "at_most"),
    [
        ("parallel", 1_058_048, 0.1),
        ("series", 1_066_240, 0.1),
        ("low_rank", 271_616, 0.025),
        ("norm", 9_472, 0.001),
    ],
)
def test_a_style_of_the_published_generator_costs_what_the_paper_says(
    kind: str, parameters: int, at_most: float
) -> None:
    method = shipped("adapted_cartoongan", f"method.kind={kind}", "data=synthetic", width=64, blocks=8)
    facts = method.facts()
    assert facts["trunk_parameters"] == 11_129_667
    for domain in facts["domains"].values():
        assert domain["parameters"] == parameters
        assert domain["share"] == pytest.approx(parameters / 11_129_667, abs=1e-6)
        assert domain["share"] <= at_most


# One more style ----------------------------------------------------------------


def added_method(**changes) -> AdaptedCartoonGAN:
    return adapted("data.domains=[old,older,new]", "method.added=new", **changes)


def test_a_new_style_is_all_that_moves() -> None:
    method = added_method()
    photo = batch_for(method)["photo"]
    before = state(method)
    painted = {d: (method(photo, d), method.paint_raw(photo, d)) for d in method.domains}
    judged = method.discriminator(photo, "old")
    fit(method, [batch_for(method, seed=i) for i in range(3)])
    assert all("@new." in name for name in moved(before, state(method)))
    for network in ("generator", "discriminator", "ema"):
        assert any(name.startswith(network) for name in moved(before, state(method)))
    for domain in ("old", "older"):
        assert torch.equal(painted[domain][0], method(photo, domain))
        assert torch.equal(painted[domain][1], method.paint_raw(photo, domain))
    assert not torch.equal(painted["new"][1], method.paint_raw(photo, "new"))
    assert torch.equal(judged, method.discriminator(photo, "old"))


def test_what_is_frozen_is_in_no_optimiser() -> None:
    method = added_method()
    held = [{id(p) for g in o.param_groups for p in g["params"]} for o in method.configure_optimizers()]
    for network, mine in zip((method.generator, method.discriminator), held, strict=True):
        assert mine == {id(p) for p in network.style("new").parameters()}


def test_a_fresh_discriminator_learns_with_its_trunk() -> None:
    method = adapted("data.domains=[old,new]", "method.added=new", "method.fresh_discriminator=true")
    held = {id(p) for g in method.configure_optimizers()[1].param_groups for p in g["params"]}
    assert {id(p) for p in method.discriminator.trunk.parameters()} <= held


def test_the_nearest_domain_is_the_one_that_looks_alike() -> None:
    method = adapted()
    flat = torch.rand(4, 3, 1, 1).expand(4, 3, 32, 32) * 2 - 1
    noisy = torch.rand(8, 3, 32, 32) * 2 - 1
    known = {"flat": method.describe("two", flat), "noisy": method.describe("three", noisy[:4])}
    assert nearest(method.describe("two", noisy[4:]), known) == "noisy"
    assert nearest(method.describe("two", flat.flip(0) * 0.9), known) == "flat"
    assert nearest(torch.zeros(3), known) is None  # of another feature network
    assert nearest(torch.zeros(3), {}) is None


# Two processes -----------------------------------------------------------------

SCRIPT = """
import sys, torch
from pathlib import Path
from lightning.pytorch import Trainer
sys.path.insert(0, {tests!r})
from shipped import shipped
from toonlab.data.modules import SyntheticData
from toonlab.representations.edges import EdgeSmooth

torch.set_num_threads(1)
method = shipped("adapted_cartoongan", "data=synthetic", "method.warmup_iterations=0")
data = SyntheticData(count=8, domains=["two", "three"], extras=list(method.extras), size=32, batch_size=1,
    eval_batch_size=1, workers=0, seed=0, zoom=(1.0, 1.0), flip=0.5, derived={{"blurred": EdgeSmooth()}})
history = []
def end(*_):
    history.append({{k: v.clone() for k, v in method.state_dict().items() if isinstance(v, torch.Tensor)}})
    if len(history) == 2:
        method.trainer.should_stop = True
method.on_train_batch_end = end
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true", max_epochs=-1,
    logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    use_distributed_sampler=False, limit_val_batches=0, num_sanity_val_steps=0)
trainer.fit(method, data)
torch.save(history, Path({out!r}) / f"{{trainer.global_rank}}.pt")
"""


def test_two_processes_agree_and_leave_the_other_style_alone(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1]), out=str(tmp_path)))
    source = str(Path(__file__).parents[2] / "src")
    environment = os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for mine, theirs in zip(one, other, strict=True):
        same(mine, theirs)
    first, second = one
    raw = {name for name in moved(first, second) if not name.startswith("ema.")}
    assert not raw & of("two", first).keys()  # though Adam has momentum for it
    assert len(raw & of("three", first).keys()) > 0.5 * len(of("three", first)) / 2
