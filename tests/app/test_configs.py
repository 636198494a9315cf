"""Every shipped config: composes, instantiates, and, if it is a method, trains and reloads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from toonlab.app import train
from toonlab.app.cli import CONF, register_resolvers
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError

SMALL = ["data=synthetic", "features=efficientnet_lite0", "eval_every=2", "save_every=2", "log_every=1"]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
LEARNING = [name for name in options("method") if not name.startswith("flow")]
EVERY = [(group, option) for group in GROUPS for option in options(group)]


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., DictConfig]:
    register_resolvers()

    def make(*overrides: str, config: str = "train") -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(config, [f"hydra.run.dir={tmp_path}", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        hydra = HydraConfig.instance().cfg
        OmegaConf.set_readonly(hydra.hydra, False)
        hydra.hydra.runtime.output_dir = str(tmp_path)
        with open_dict(cfg):
            del cfg["hydra"]
        if "outputs_dir" in cfg:
            cfg.outputs_dir = str(tmp_path)
        return cfg

    return make


@pytest.mark.parametrize(("group", "option"), EVERY, ids=[f"{g}={o}" for g, o in EVERY])
def test_every_option_composes_and_resolves(composed, group: str, option: str) -> None:
    cfg = composed(f"{group}={option}")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(("group", "option"), EVERY, ids=[f"{g}={o}" for g, o in EVERY])
def test_every_option_says_in_its_first_line_what_it_is(group: str, option: str) -> None:
    lines = (CONF / group / f"{option}.yaml").read_text().splitlines()
    first = next(line for line in lines if not line.startswith("# @package"))
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize(
    ("config", "needed"),
    [("eval", ["ckpt=x"]), ("stylize", ["ckpt=x", "input=a", "output=b"]), ("prepare_draw", ["photos=a"])],
)
def test_the_other_commands_compose(composed, config: str, needed: list[str]) -> None:
    OmegaConf.to_container(composed(*needed, config=config), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("method", sorted(set(options("method")) - set(LEARNING)))
def test_every_method_that_learns_nothing_draws(composed, method: str) -> None:
    drawing = train.make(composed(f"method={method}", config="prepare_draw"), "method")
    photo = torch.rand(1, 3, 40, 33) * 2 - 1
    assert drawing(photo).shape == photo.shape


@pytest.mark.parametrize("method", LEARNING)
def test_every_method_trains_saves_and_reloads(composed, tmp_path: Path, method: str) -> None:
    train.run(composed(f"method={method}", *SMALL, "iterations=2", "method.warmup_iterations=1"))
    assert (tmp_path / "samples" / "0000002.png").exists()
    loaded = load_generator(tmp_path / "checkpoints" / "best.ckpt")
    assert loaded.iteration == 2
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    assert loaded.generator(photo).shape == photo.shape


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_builds_its_method(composed, experiment: str) -> None:
    small = ["data=synthetic", "data.size=32", "data.batch_size=1", "features=efficientnet_lite0"]
    cfg = composed(f"experiment={experiment}", *small)
    method = train.make(cfg, "method")
    data = train.make(cfg, "data", extras=list(method.extras))
    batch = next(iter(data.train_dataloader()))
    assert method.generator(batch["photo"]).shape == batch["photo"].shape


@pytest.mark.parametrize("choice", [f"{g}={o}" for g in ("structure", "texture") for o in options(g)])
def test_every_structure_and_texture_trains(composed, tmp_path: Path, choice: str) -> None:
    train.run(composed(choice, *SMALL, "iterations=2", "method.generator.width=4"))
    assert "generator/structure" in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize("debug", options("debug"))
def test_every_debug_option_trains(composed, tmp_path: Path, debug: str) -> None:
    small = [*SMALL, "method.generator.width=4", "data.size=32"]
    train.run(composed(f"debug={debug}", *small, "iterations=2", "data.batch_size=2"))
    metrics = (tmp_path / "metrics.jsonl").read_text()
    assert ("gradient_share/texture" in metrics) == (debug == "gradients")


@pytest.mark.parametrize("trainer", options("trainer"))
def test_every_trainer_reaches_lightning_with_names_it_knows(composed, trainer: str) -> None:
    cpu = ["trainer.accelerator=cpu", "trainer.devices=1", "trainer.precision=32-true"]
    built = train.make(composed(f"trainer={trainer}", *cpu), "trainer", logger=False)
    assert built.max_epochs == -1
    assert built.max_steps == -1


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("method.lr={_target_:toonlab.schedules.Linaer}", r"method\.lr.*Linaer.*did you mean 'Linear'"),
        ("~method.texture", "method: .*'texture'"),
        ("method.generator.full_skip=concat", "full_skip=concat.*did you mean 'concatenate'"),
        ("method.init=flwo", r"method\.init=flwo.*did you mean 'flow'"),
        ("eval_every=0", "eval_every=0.*1 or more"),
        ("data.size=66", "data.size=66.*multiples of 4, 64"),
        ("data.size=0", "data.size=0.*1 or more"),
        ("data.batch_size=0", "data.batch_size=0.*1 or more"),
    ],
)
def test_a_value_that_cannot_be_is_answered_before_training(composed, mistake: str, words: str) -> None:
    method = ["method=cartoongan"] if "init" in mistake else []
    with pytest.raises(UsageError, match=words):
        train.run(composed("data=synthetic", *method, mistake))


@pytest.mark.parametrize("init", ["flow", "content", "none"])
def test_cartoongan_warms_up_on_what_init_says(composed, tmp_path: Path, init: str) -> None:
    narrow = ["method.generator.width=4", "method.generator.blocks=1", "method.discriminator.width=4"]
    cfg = composed(
        "method=cartoongan",
        f"method.init={init}",
        "method.warmup_iterations=2",
        *narrow,
        "data=synthetic",
        "iterations=3",
        "log_every=1",
        "eval_every=100",
    )
    train.run(cfg)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    terms = [
        {key.removeprefix("generator/") for key in line if key.startswith("generator/")} - {"total"}
        for line in lines
        if "generator/total" in line
    ]
    warm = {"flow": {"flow_pixel", "flow_content"}, "content": {"content", "colour"}}
    full = {"adversarial", "content", "colour"}
    assert terms == ([full] * 3 if init == "none" else [warm[init], warm[init], full])
