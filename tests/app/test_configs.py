"""Every shipped config: composes, instantiates, and, if it is a method, trains and reloads."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from shipped import OTHER_NAMES, shrink, trained_generator
from shipped import SMALL as NARROW
from toonlab.app import checks, train
from toonlab.app.cli import CONF
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.losses.adversarial import CrossEntropy

SMALL = ["data=synthetic", "features=efficientnet_lite0", "eval_every=2", "save_every=2", "log_every=1"]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
LEARNING = [name for name in options("method") if not name.startswith("flow")]
README = (CONF.parent / "README.md").read_text()
EVERY = [(group, option) for group in GROUPS for option in options(group)]


@pytest.mark.parametrize(("group", "option"), EVERY, ids=[f"{g}={o}" for g, o in EVERY])
def test_every_option_composes_and_resolves(composed, group: str, option: str) -> None:
    plus = "+" * (group in ("sweep", "search"))  # not in the defaults list, see docs/sweeps.md
    wants = "_peppercarrot" in option or option == "report_components_cpu"
    pictures = ["pictures=DIR"] if wants else []
    cfg = composed(f"{plus}{group}={option}", *pictures)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(("group", "option"), EVERY, ids=[f"{g}={o}" for g, o in EVERY])
def test_every_option_says_in_its_first_line_what_it_is(group: str, option: str) -> None:
    lines = (CONF / group / f"{option}.yaml").read_text().splitlines()
    first = next(line for line in lines if not line.startswith(("# @package", "# methods: ")))
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ("eval", ["ckpt=x"]),
        ("stylize", ["ckpt=x", "input=a", "output=b"]),
        ("inpaint", ["ckpt=x", "input=a", "mask=box", "output=b"]),
        ("serve", ["ckpt=x"]),
        ("leaderboard", ["networks=[a,b]", "photos=a", "styles={a: b}", "output=c"]),
        ("reproduce", ["card=a", "pictures=b"]),
        ("prepare_draw", ["photos=a"]),
        ("export", ["kind=pack", "ckpt=x", "output=a"]),
    ],
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
    cfg = composed(f"method={method}", *SMALL, "iterations=2", "data.paired=true")
    if cfg.method.warmup_weights or "init" in cfg.method:
        cfg.method.warmup_iterations = 1
    shrink(cfg.method, NARROW)
    if cfg.method.get("needs_ckpt"):
        cfg.ckpt = str(trained_generator(tmp_path / "trained.ckpt"))
    train.run(cfg)
    assert (tmp_path / "samples" / "0000002.png").exists()
    styles = list(cfg.method.get("domains", []))
    loaded = load_generator(tmp_path / "checkpoints" / "best.ckpt", style=styles[0] if styles else None)
    assert loaded.iteration == 2
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    assert loaded.generator(photo).shape == photo.shape


@pytest.mark.parametrize("method", LEARNING)
def test_every_generator_has_the_size_that_the_readme_says(composed, method: str) -> None:
    generator = train.make(composed(f"method={method}"), "method.generator")
    size = f"{sum(p.numel() for p in generator.parameters()):,}"
    name = OTHER_NAMES.get(method, method)
    rows = [line for line in README.splitlines() if line.startswith("|") and size in line]
    # `cyclegan_v3` … `cyclegan_v6` are one row
    assert any(f"`{name}`" in row or ("cyclegan_v" in name and "`cyclegan_v3` …" in row) for row in rows)


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
        ("method.weights.content=-1", "weight of content is -1 .*use 0 or more"),
        ("method.generator.width=0", "method.generator: width=0: a whole number, 1 or more"),
        ("method.adversarial.soft=3", "method.adversarial.soft=3: from 0 .*below 0.5"),
        ("data.batch_size=0", "data.batch_size=0.*1 or more"),
        ("+method.generator.head=tanhh", "head=tanhh.*did you mean 'tanh'"),
    ],
)
def test_a_value_that_cannot_be_is_answered_before_training(composed, mistake: str, words: str) -> None:
    method = ["method=cartoongan"] if "init" in mistake else []
    with pytest.raises(UsageError, match=words):
        train.run(composed("data=synthetic", *method, mistake))


@pytest.mark.parametrize("method", ["animegan_v1", "animegan_v2", "whitebox", "anime_scene"])
@pytest.mark.parametrize("preset", options("preset"))
def test_a_preset_changes_numbers_of_its_own_methods_and_refuses_others(
    composed, preset: str, method: str
) -> None:
    cfg, plain = composed(f"preset={preset}", f"method={method}"), composed(f"method={method}")
    assert cfg.preset.name == preset
    if method in cfg.preset.methods:
        checks._check_preset(cfg)
        mine, theirs = (OmegaConf.to_container(c.method, resolve=True) for c in (cfg, plain))
        changed = {key for key in mine if mine[key] != theirs[key]}
        assert changed <= {"weights", "discriminator_weights", "warmup_weights"}
        assert all(mine[key].keys() == theirs[key].keys() for key in changed)
    else:
        right = " or ".join(f"method={name}" for name in cfg.preset.methods)
        with pytest.raises(UsageError, match=f"preset={preset} is for {right}, not for method={method}"):
            checks._check_preset(cfg)


@pytest.mark.parametrize("preset", ["more_texture", "more_structure", "more_surface"])
@pytest.mark.parametrize("method", ["whitebox", "anime_scene"])
def test_more_is_three_times_one_weight(composed, preset: str, method: str) -> None:
    more = composed(f"preset={preset}", f"method={method}").method.weights
    plain = composed(f"method={method}").method.weights
    ratios = {name: more[name] / plain[name] for name in plain if plain[name]}
    assert ratios == pytest.approx({name: 3.0 if preset == f"more_{name}" else 1.0 for name in ratios})


def test_a_preset_has_the_last_word_and_stays_in_the_runs_config(composed, tmp_path: Path) -> None:
    cfg = composed("experiment=animegan_v2_paper", "preset=paprika", "photos=a", "cartoons=b")
    train._prepare(tmp_path, cfg)
    kept = OmegaConf.load(tmp_path / "config.yaml")
    assert kept.preset.name == "paprika"
    assert (kept.method.weights.style, kept.method.weights.colour) == (0.6, 50.0)
    assert kept.iterations == 55954


@pytest.mark.parametrize("method", LEARNING)
def test_gan_mode_changes_the_adversarial_loss_alone(composed, method: str) -> None:
    cfg, plain = composed(f"method={method}", "gan_mode=bce"), composed(f"method={method}")
    assert cfg.method.adversarial._target_.endswith(".CrossEntropy")
    assert isinstance(train.make(cfg, "method.adversarial"), CrossEntropy)
    cfg.method.adversarial._target_ = plain.method.adversarial._target_
    assert cfg == plain


def test_gan_mode_on_the_command_line_beats_an_experiments(composed) -> None:
    published = composed("experiment=cartoongan_paper").method.adversarial._target_
    asked = composed("experiment=cartoongan_paper", "gan_mode=lsgan").method.adversarial._target_
    assert published.endswith("CrossEntropy")
    assert asked.endswith("LeastSquares")


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
