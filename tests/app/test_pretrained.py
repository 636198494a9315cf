"""`ckpt=…` without more: a run that begins with somebody's weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from torch import Tensor

from shipped import SMALL, shrink
from toonlab.app import train
from toonlab.engine.checkpoint import load_generator, read, write_imported
from toonlab.errors import UsageError
from toonlab.networks.resnet import ResnetGenerator

MADE: dict[str, Any] = {"width": 4, "blocks": 2, "upsampling": "deconv"}
NODE = {"_target_": "toonlab.networks.resnet.ResnetGenerator", **MADE}
QUICK = ["data=synthetic", "data.count=4", "log_every=1", "eval_every=100"]
FROZEN = ["method.optimizer.lr=0", "method.discriminator_optimizer.lr=0", "method.ema_half_life=1"]
Run = Callable[..., Path]


@pytest.fixture
def run(composed, tmp_path: Path) -> Run:
    """Train in a folder of its own, narrow where `ckpt` does not say how wide."""

    def make(name: str, *overrides: str) -> Path:
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True, exist_ok=True)
        ran = folder / ".hydra" / "overrides.yaml"  # which resume= reads
        ran.write_text(json.dumps([*QUICK, *overrides]))
        cfg = composed("iterations=2", *QUICK, *overrides)
        HydraConfig.instance().cfg.hydra.runtime.output_dir = str(folder)
        shrink(cfg.method, SMALL | {"rank": 2})
        train.run(cfg)
        return folder

    return make


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Imported weights, of a network that no method's YAML describes."""
    torch.manual_seed(7)
    path = tmp_path / "published.ckpt"
    state = ResnetGenerator(**MADE).state_dict()
    write_imported(
        path, state, painting={}, config={"method": {"generator": NODE}}, origin={"licence": "theirs"}
    )
    return path


def photos() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def networks(run: Path, *prefixes: str) -> dict[str, Tensor]:
    return {k: v for k, v in read(run)["state_dict"].items() if k.startswith(prefixes)}


@pytest.mark.parametrize("method", ["cartoongan", "whitebox", "animegan_v2", "cyclegan"])
def test_any_method_begins_with_published_weights(run: Run, published: Path, method: str) -> None:
    ran = run(method, f"method={method}", f"ckpt={published}", *FROZEN)
    wanted = load_generator(published).generator(photos())
    for average in (True, False):  # nothing learnt: lr is 0
        kept = load_generator(ran, average=average)
        assert torch.equal(kept.generator(photos()), wanted)
    assert kept.origin == {"licence": "theirs"}  # goes on with what was made of it
    saved = read(ran)["toonlab"]["config"]["method"]
    assert saved["generator"] == NODE
    assert saved["warmup_iterations"] == 0  # which would unlearn what it begins with


@pytest.mark.parametrize("kind", ["parallel", "series", "low_rank", "norm"])
def test_every_style_begins_as_the_trained_trunk(run: Run, published: Path, kind: str) -> None:
    many = run("many", "method=adapted_cartoongan", f"ckpt={published}", f"method.kind={kind}", *FROZEN)
    wanted = load_generator(published).generator(photos())
    domains = read(many)["toonlab"]["config"]["method"]["domains"]
    assert len(domains) == 2
    for domain in domains:
        assert torch.equal(load_generator(many, style=domain).generator(photos()), wanted)
    # One of its styles is where a plain network may start from.
    if kind == "series":
        with pytest.raises(UsageError, match="series adapters cannot be folded"):
            run("plain", "method=cartoongan", f"ckpt={many}", f"style={domains[1]}", *FROZEN)
        return
    plain = run("plain", "method=cartoongan", f"ckpt={many}", f"style={domains[1]}", *FROZEN)
    assert torch.equal(load_generator(plain).generator(photos()), wanted)
    with pytest.raises(UsageError, match="holds 2 styles"):
        run("which", "method=cartoongan", f"ckpt={many}")


def test_the_same_method_brings_its_discriminators(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    first = run("first", "method=whitebox", "method.warmup_iterations=0")
    with caplog.at_level("INFO"):
        second = run("second", "method=whitebox", f"ckpt={first}", "seed=1", *FROZEN)
    assert "Starts from the generator and the " in caplog.text
    mine, theirs = (networks(each, "d_surface.", "d_texture.") for each in (second, first))
    weights = [name for name in theirs if name.endswith(("weight", "weight_orig", "original"))]
    assert weights
    assert all(torch.equal(mine[name], theirs[name]) for name in weights)
    other = run("other", "method=cartoongan", f"ckpt={first}", "seed=1", *FROZEN)  # its own is a new one
    assert torch.equal(load_generator(other).generator(photos()), load_generator(first).generator(photos()))


def test_a_run_begun_with_weights_goes_on_without_them(run: Run, published: Path) -> None:
    begun = [f"ckpt={published}", "method=cartoongan"]
    whole, half = (run(f"for_{n}", *begun, f"iterations={n}") for n in (4, 2))
    published.unlink()
    run("for_2", *begun, f"resume={half}", "iterations=4")
    assert read(half)["toonlab"]["origin"] == {"licence": "theirs"}
    ours, theirs = (read(each)["state_dict"] for each in (half, whole))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ["method=cartoongan", "method.generator.width=8"],
            "generator.width=8: the generator is that of",
        ),
        (
            ["method=cyclegan", "method.direction=to_photo"],
            "paints to_cartoon, this run would learn",
        ),
        (["method=cartoongan", "style=a"], "style=a: this checkpoint"),
    ],
)
def test_what_contradicts_the_checkpoint_is_refused(
    run: Run, published: Path, given: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run("wrong", f"ckpt={published}", *given)


def test_a_style_needs_a_checkpoint(run: Run) -> None:
    with pytest.raises(UsageError, match="style=a: of the checkpoint that a run starts from"):
        run("wrong", "method=cartoongan", "style=a")
