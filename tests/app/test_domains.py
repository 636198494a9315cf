"""Several styles from the command line on: train them, add one, score and paint each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from commands import Cli, only_run
from shipped import SMALL as NARROW
from shipped import shrink
from tiny import same
from toonlab.app import evaluate, report, train
from toonlab.app.cli import with_implied_data
from toonlab.engine.checkpoint import load_generator, read, write_imported
from toonlab.errors import UsageError
from toonlab.networks.resnet import ResnetGenerator

FEW = ["data=synthetic", "log_every=1", "eval_every=100", "save_every=2", "method.warmup_iterations=1"]
UNSCORED = ["data.count=4"]  # too few to score, which takes longer than all else
Run = Callable[..., Path]


@pytest.fixture
def trained(composed, tmp_path: Path) -> Run:
    """Train narrow networks in a folder of their own."""

    def run(name: str, *overrides: str, method: str = "adapted_cartoongan") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        cfg = composed(f"method={method}", *FEW, *UNSCORED, "iterations=2", *overrides)
        HydraConfig.instance().cfg.hydra.runtime.output_dir = str(folder)
        shrink(cfg.method, NARROW | {"rank": 2})
        train.run(cfg)
        return folder

    return run


def photos() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def painted(run: Path, style: str, *, average: bool = True) -> torch.Tensor:
    """As `stylize` paints: with the checkpoint's generator, folded."""
    return load_generator(run, average=average, style=style).generator(photos())


def state(run: Path, prefix: str) -> dict[str, torch.Tensor]:
    weights = read(run)["state_dict"]
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def test_a_run_says_which_styles_it_holds_and_scores_each(composed, trained: Run, tmp_path: Path) -> None:
    run = trained("joint", "eval_every=2", "data.count=16")
    result = json.loads((run / "result.json").read_text())
    assert {name: row["parameters"] for name, row in result["domains"].items()} == {"two": 656, "three": 656}
    assert result["trunk_parameters"] == 12_519
    assert result["domains"]["two"]["share"] == pytest.approx(656 / 12_519, abs=1e-6)
    assert read(run)["toonlab"]["config"]["method"]["domains"] == ["two", "three"]

    scores = read(run)["toonlab"]["scores"]
    for name in ("kid_effnetlite0", "fd_effnetlite0"):
        each = [scores[f"val/{domain}/{name}"] for domain in ("two", "three")]
        assert scores[f"val/{name}"] == pytest.approx(sum(each) / 2)
        assert each[0] != each[1]

    with pytest.raises(UsageError, match=r"holds 2 styles, two, three: choose one with style=two"):
        load_generator(run)

    evaluate.run(composed(f"ckpt={run}", f"output={tmp_path / 'scores'}", "split=val", config="eval"))
    found = json.loads((tmp_path / "scores" / "report.json").read_text())
    # The best is the last here: what eval finds on the same part is what training found.
    for domain in ("two", "three"):
        row = found["domains"][domain]
        assert row["kid_effnetlite0"] == pytest.approx(scores[f"val/{domain}/kid_effnetlite0"], rel=1e-3)
        assert (row["parameters"], row["n"]) == (656, 8)
        assert (tmp_path / "scores" / domain / "before_after.png").exists()
    assert found["mean"]["fd_effnetlite0"] == pytest.approx(scores["val/fd_effnetlite0"], rel=1e-3)


def test_an_added_style_leaves_the_old_ones_as_they_were_to_the_bit(trained: Run) -> None:
    joint = trained("joint")
    before = {style: painted(joint, style) for style in ("two", "three")}
    more = trained("more", "add_domain=four", f"ckpt={joint}", "method.discriminator_optimizer.lr=1e-4")
    twice = trained("twice", "add_domain=five", f"ckpt={more}", "like=four")
    four = painted(more, "four")
    for run in (more, twice):
        for style, wanted in before.items():
            assert torch.equal(painted(run, style), wanted)
            assert torch.equal(painted(run, style, average=False), wanted)  # the EMA is what it went on from
    assert torch.equal(painted(twice, "four"), four)
    assert not torch.equal(four, before["two"])
    assert not torch.equal(painted(twice, "five", average=False), four)
    for one, other in ((joint, more), (more, twice)):
        ours, theirs = state(one, "discriminator."), state(other, "discriminator.")
        same({k: theirs[k] for k in ours}, ours)
    assert read(twice)["toonlab"]["config"]["method"]["domains"] == ["two", "three", "four", "five"]
    assert read(twice)["toonlab"]["likeness"].keys() == {"two", "three", "four", "five"}
    config = OmegaConf.load(twice / "config.yaml")
    assert config.method.generator.domains == ["two", "three", "four", "five"]  # it needs no other checkpoint


def test_a_new_style_starts_as_the_one_it_is_like(trained: Run) -> None:
    joint = trained("joint", "iterations=4")
    more = trained("more", "add_domain=four", f"ckpt={joint}", "like=three", "method.optimizer.lr=0")
    assert torch.equal(painted(more, "four"), _without_adapters(joint, "three"))
    old, new = state(joint, "discriminator."), state(more, "discriminator.")
    assert not torch.equal(new["styles.@four.last/weight"], old["styles.@three.last/weight"])  # its own head


def _without_adapters(run: Path, style: str) -> torch.Tensor:
    about, weights = read(run)["toonlab"]["config"]["method"]["generator"], state(run, "ema.average.")
    plain = ResnetGenerator(**{k: v for k, v in about["trunk"].items() if k != "_target_"})
    own = {
        k.removeprefix(f"styles.@{style}.").replace("/", "."): v
        for k, v in weights.items()
        if k.startswith(f"styles.@{style}.") and not k.endswith("adapter")
    }
    trunk = {k.removeprefix("trunk."): v for k, v in weights.items() if k.startswith("trunk.")}
    plain.load_state_dict(trunk | own)
    return plain(photos())


@pytest.mark.parametrize("kind", ["parallel", "low_rank"])
def test_a_cartoongan_without_adapters_becomes_the_trunk(trained: Run, kind: str) -> None:
    plain = trained("plain", method="cartoongan")
    before = load_generator(plain).generator(photos())
    more = trained("more", "add_domain=new", f"ckpt={plain}", f"method.kind={kind}", "method.base=hayao")
    assert read(more)["toonlab"]["config"]["method"]["domains"] == ["hayao", "new"]
    assert torch.equal(painted(more, "hayao"), before)
    assert read(more)["toonlab"]["config"]["method"]["fresh_discriminator"] is False
    theirs = state(more, "discriminator.")
    assert torch.equal(theirs["trunk.body.0.weight"], state(plain, "discriminator.")["body.0.weight"])


def test_imported_weights_get_a_discriminator_of_their_own(trained: Run, tmp_path: Path) -> None:
    node = {"_target_": "toonlab.networks.resnet.ResnetGenerator", "width": 4, "blocks": 1}
    peer = ResnetGenerator(width=4, blocks=1)
    write_imported(
        tmp_path / "peer.ckpt",
        peer.state_dict(),
        painting={},
        config={"method": {"generator": node}},
        origin={"file": "x"},
    )
    more = trained("more", "add_domain=new", f"ckpt={tmp_path / 'peer.ckpt'}")
    assert load_generator(more, style="new").origin == {"file": "x"}
    again = trained("again", "add_domain=newer", f"ckpt={more}")
    assert load_generator(again, style="base").origin == {"file": "x"}  # the licence goes on
    assert torch.equal(painted(more, "base"), peer(photos()))
    config = read(more)["toonlab"]["config"]["method"]
    assert (config["fresh_discriminator"], config["discriminator"]["domains"]) == (True, ["new"])


def test_a_killed_addition_goes_on_to_the_bit_without_the_old_run(
    cli: Cli, trained: Run, tmp_path: Path
) -> None:
    joint = trained("joint")
    add = ["method=adapted_cartoongan", *FEW, *UNSCORED, "add_domain=four", f"ckpt={joint}"]
    whole = trained("whole", "add_domain=four", f"ckpt={joint}", "iterations=4")
    assert cli("train", *add, "iterations=2").returncode == 0
    run = only_run(tmp_path, "adapted_cartoongan")
    joint.rename(tmp_path / "elsewhere")
    result = cli("train", f"resume={run}", "iterations=4")
    assert result.returncode == 0, result.stderr
    assert "four" in result.stderr
    for key in ("state_dict", "optimizer_states"):
        same(read(run)[key], read(whole)[key])


# Mistakes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["method=cartoongan", "data=multidomain", "domains={a:x}"], "domains: method=cartoongan learns one"),
        (["method=cartoongan", "data=multidomain"], "data=multidomain: method=cartoongan learns one"),
        (["method=cartoongan", "add_domain=a", "ckpt=x"], "add_domain: method=cartoongan learns one"),
        (["method=cartoongan", "data=demo", "ckpt=x"], "ckpt=.*x: no such file"),
        (["method=cartoongan", "data=demo", "data.domain_weights={flow:2}"], "data.domain_weights: method"),
        (["data=demo", "domains={a:x}"], "domains=… is not used by this data set; add data=multidomain"),
        (["data=unpaired", "photos=x", "cartoons=y"], "several styles: use data=multidomain photos=DIR"),
        (["data=multidomain", "cartoons=y", "domains={a:x}"], "cartoons=… is not.*data=multidomain domains="),
        (["data=multidomain", "photos=x"], "domains=None: name folders of cartoons"),
        (["data=multidomain", "domains=[/x/a,/y/a]", "photos=x"], "/x/a and /y/a are both called a"),
        (["data=synthetic", "data.domain_weights={four:1}"], "domain_weights.four: no such domain"),
        (["add_domain=new"], "add_domain=new: name the trained model"),
        (["like=a"], "like=a is where add_domain=NAME starts"),
        (["add_domain=pen", "ckpt=x"], "add_domain=pen: this data set has flow, pencil"),
        (["data=multidomain", "photos=x", "add_domain=a", "ckpt=x"], "add_domain=a: no cartoons given"),
        (["data=multidomain", "add_domain=a", "ckpt=x", "domains={b:x}"], "not from those of b"),
        (
            ["data=multidomain", "add_domain=a", "ckpt=x", "domains={a:x}", "cartoons=y"],
            "cartoons=… and domains=… both name",
        ),
        (["data=synthetic", "add_domain=a", "ckpt=/nowhere"], "ckpt=/nowhere: no such file"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_before_anything_is_written(
    composed, tmp_path: Path, given, words: str
) -> None:
    method = [] if any(each.startswith("method=") for each in given) else ["method=adapted_cartoongan"]
    with pytest.raises(UsageError, match=words):
        train.run(composed(*method, *given))
    assert not (tmp_path / "checkpoints").exists() or "domain_weights" in words


def test_what_cannot_be_added_to_is_refused(trained: Run) -> None:
    joint, other = trained("joint"), trained("other", method="whitebox")
    for name, words, changes in (
        ("a", r"takes a model of adapted_cartoongan or cartoongan.*this is whitebox", [f"ckpt={other}"]),
        ("two", "holds two, three already; choose another", [f"ckpt={joint}"]),
        ("b", "method.kind=norm: add_domain takes the networks from", [f"ckpt={joint}", "method.kind=norm"]),
        ("c", "like=four: the checkpoint holds two, three", [f"ckpt={joint}", "like=four"]),
        ("d/e", "'d/e': letters, digits|'d/e': a name of letters", [f"ckpt={joint}"]),
    ):
        with pytest.raises(UsageError, match=words):
            trained(name.replace("/", "_"), f"add_domain={name}", *changes)


def test_a_fresh_discriminator_may_be_another(trained: Run) -> None:
    joint = trained("joint")
    fresh = ["method.fresh_discriminator=true", "method.discriminator.own=[]"]
    more = trained("more", "add_domain=new", f"ckpt={joint}", *fresh)
    assert "trunk.last.weight" in state(more, "discriminator.")
    assert read(more)["toonlab"]["config"]["method"]["discriminator"]["domains"] == ["new"]
    assert torch.equal(painted(more, "two"), painted(joint, "two"))
    again = trained("again", "add_domain=newer", f"ckpt={more}")  # on what the fresh one has learnt
    ours, theirs = state(more, "discriminator."), state(again, "discriminator.")
    same({k: theirs[k] for k in ours}, ours)


def test_the_report_says_why_styles_with_too_few_images_have_no_scores(
    composed, trained: Run, tmp_path: Path
) -> None:
    trained("joint")
    report.run(composed(f"runs={tmp_path / 'joint'}", "device=cpu", config="report"))
    assert re.search(r"## Not scored\n\n- joint: .*images", (tmp_path / "joint" / "report.md").read_text())
    assert not (tmp_path / "joint" / "ladder.md").exists()


def test_folders_of_styles_mean_their_data_set() -> None:
    assert with_implied_data(["x", "domains={a: b}"]) == ["x", "data=multidomain", "domains={a: b}"]
    assert with_implied_data(["x", "add_domain=a", "cartoons=b"])[1] == "data=multidomain"
    sweep = with_implied_data(["x", "-m", "method.kind=a,b", "domains={a: b}"])
    assert sweep == ["x", "-m", "method.kind=a,b", "data=multidomain", "domains={a: b}"]
    told_last = with_implied_data(["x", "domains={a: b}", "--cfg", "job"])
    assert told_last == ["x", "data=multidomain", "domains={a: b}", "--cfg", "job"]
    for told in (["x", "domains={a: b}", "data=demo"], ["x", "add_domain=a"], ["x", "cartoons=b"], ["x"]):
        assert with_implied_data(told) == told
