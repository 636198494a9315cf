"""Runs of `method=latent_inpainting`: what they need, what they keep, how they are scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from shipped import SMALL, shrink, trained_generator
from toonlab import images as im
from toonlab.app import evaluate, inpaint, pretrained, train
from toonlab.app.setup import make
from toonlab.engine.checkpoint import build, load_generator, write_imported
from toonlab.errors import UsageError
from toonlab.methods.loaded_inpainting import load_inpainting
from toonlab.networks.resnet import ResnetGenerator
from toonlab.networks.unet import UNet

QUICK = [
    *("data=synthetic", "features=efficientnet_lite0", "iterations=2", "eval_every=2", "save_every=2"),
    *("log_every=1", "method=latent_inpainting"),
]


def settings(composed, *more: str):
    cfg = composed(*QUICK, *more)
    shrink(cfg.method, SMALL)
    return cfg


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return trained_generator(tmp_path / "trained.ckpt")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = torch.Generator().manual_seed(0)
    for i in range(6):
        picture = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 5, generator=rng), size=40)[0]
        im.save(im.to_picture(picture * 2 - 1), tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


def test_a_run_needs_a_generator_with_a_latent(composed, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ckpt=RUN"):
        train.run(settings(composed))
    node = {"_target_": "toonlab.networks.unet.UNet", "width": 4, "blocks": 1}
    state = UNet(width=4, blocks=1).state_dict()
    flat = tmp_path / "flat.ckpt"
    write_imported(flat, state, painting={}, config={"method": {"generator": node}}, origin={})
    with pytest.raises(UsageError, match=r"flat\.ckpt: its generator, UNet, has no latent"):
        train.run(settings(composed, f"ckpt={flat}"))
    node = {
        "_target_": "toonlab.networks.resnet.ResnetGenerator",
        "width": 4,
        "blocks": 1,
        "learn_residual": True,
    }
    state = ResnetGenerator(width=4, blocks=1).state_dict()
    write_imported(flat, state, painting={}, config={"method": {"generator": node}}, origin={})
    with pytest.raises(UsageError, match=r"ResnetGenerator, has no latent.*without learn_residual"):
        train.run(settings(composed, f"ckpt={flat}"))
    with pytest.raises(UsageError, match=r"bank=.*somewhere: for method=latent_inpainting completion=search"):
        train.run(composed("data=synthetic", "bank=somewhere"))
    with pytest.raises(UsageError, match="completion=search is a way of method=latent_inpainting"):
        train.run(composed("data=synthetic", "completion=search"))
    assert not (tmp_path / "config.yaml").exists()


def test_a_run_holds_its_generator_and_completes_as_it_did(composed, tmp_path: Path, trained: Path) -> None:
    train.run(settings(composed, f"ckpt={trained}", "method.warmup_iterations=1"))
    state = load_generator(trained).generator.state_dict()
    trained.unlink()  # it is not needed any more
    kept = load_generator(tmp_path / "checkpoints" / "last.ckpt").generator.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in state)
    method = load_inpainting(tmp_path / "checkpoints" / "last.ckpt")
    assert method.judged
    assert not any(p.requires_grad for p in method.parameters())
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(method.state_dict()[name], value) for name, value in saved.items())
    assert any(value.any() for name, value in saved.items() if name.startswith("completion.latent.last"))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = {key for line in lines for key in line}
    assert {"val/hole_l1", "val/hole_psnr", "val/hole_lpips_effnetlite0"} <= logged
    assert not any("kid" in key for key in logged)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["best"]["val/hole_lpips_effnetlite0"] > 0
    width = Image.open(tmp_path / "samples" / "0000002.png").width
    assert width > 4 * 32  # photo, masked, result, clean cartoon


def test_eval_prints_the_completion_beside_its_baselines(
    composed, tmp_path: Path, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train.run(settings(composed, f"ckpt={trained}", "method.warmup_iterations=1"))
    with caplog.at_level("INFO"):
        evaluate.run(composed(f"ckpt={tmp_path}", f"output={tmp_path / 'eval'}", config="eval"))
    assert "beaten by completed on hole_lpips_effnetlite0" in caplog.text
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    ways = report["scores"]
    assert len(ways) == 6
    assert all(len(scores["hole_l1"]) == 16 for scores in ways.values())
    assert (tmp_path / "eval" / "strips.png").exists()


@pytest.mark.slow
def test_a_search_trains_on_one_batch_with_a_bank(
    composed, tmp_path: Path, trained: Path, photos: Path, reads_of
) -> None:
    more = ["completion=search", f"ckpt={trained}", "bank_size=32"]
    with pytest.raises(UsageError, match=r"data\.overfit=true"):
        train.run(settings(composed, *more, f"bank={photos}"))
    with pytest.raises(UsageError, match="bank=DIR"):
        train.run(settings(composed, *more, "data.overfit=true"))
    assert not (tmp_path / "config.yaml").exists()
    train.run(settings(composed, *more, "data.overfit=true", f"bank={photos}", "method.search.steps=2"))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    terms = {"generator/context", "generator/prior", "generator/bank", "generator/tv"}
    assert terms <= {key for line in lines for key in line}
    # Scored with the bank that it was trained with, unless another is named.
    reads = reads_of(tmp_path / "checkpoints" / "last.ckpt")
    evaluate.run(composed(f"ckpt={tmp_path}", f"output={tmp_path / 'eval'}", config="eval"))
    assert len(reads) == 1
    assert len(json.loads((tmp_path / "eval" / "report.json").read_text())["scores"]) == 6
    with pytest.raises(UsageError, match="searches, and has no network"):
        load_inpainting(tmp_path / "checkpoints" / "last.ckpt", completion="learned")


@pytest.mark.parametrize("completion", ["learned", pytest.param("search", marks=pytest.mark.slow)])
def test_one_iteration_is_a_run_and_its_last_words_are_commands(
    composed, tmp_path: Path, trained: Path, photos: Path, caplog: pytest.LogCaptureFixture, completion: str
) -> None:
    more = [f"completion={completion}", f"ckpt={trained}", "iterations=1"]
    if completion == "search":
        more += [f"bank={photos}", "bank_size=32", "data.overfit=true", "method.search.steps=2"]
    with caplog.at_level("INFO"):
        train.run(settings(composed, *more))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["iterations"]) == ("finished", 1)
    said = [line.split() for line in caplog.text.splitlines() if line.startswith("  python src/")]
    ckpt = f"ckpt={tmp_path}"
    assert [words[1:] for words in said] == [
        ["src/eval.py", ckpt],
        ["src/inpaint.py", ckpt, "input=PHOTOS", "mask=MASKS", "output=COMPLETED"],
    ]
    evaluate.run(composed(*said[0][2:], f"output={tmp_path / 'eval'}", config="eval"))
    assert (tmp_path / "eval" / "report.json").is_file()
    stand_ins = {"PHOTOS": photos / "0.png", "MASKS": "box", "COMPLETED": tmp_path / "completed"}
    words = [word.partition("=") for word in said[1][2:]]
    filled = [f"{key}={stand_ins.get(value, value)}" for key, _, value in words]
    inpaint.run(composed(*filled, config="inpaint"))
    assert (tmp_path / "completed" / "0_strip.png").is_file()


def test_any_generator_with_a_latent_can_be_searched_and_only_that(composed, trained: Path) -> None:
    node = OmegaConf.to_container(settings(composed).method, resolve=True)
    assert load_inpainting(trained, settings=node).searching
    assert not load_inpainting(trained, settings=node).judged  # nobody trained its discriminator
    with pytest.raises(UsageError, match=r"completion=search bank=DIR, or train one"):
        load_inpainting(trained, settings=node, completion="learned")


def several_styles(path: Path) -> Path:
    """Write a checkpoint of two styles whose discriminator learned by cross entropy."""
    trunk = {"_target_": "toonlab.networks.resnet.ResnetGenerator", "width": 4, "blocks": 1}
    judge = {"_target_": "toonlab.networks.discriminators.EdgeDiscriminator", "width": 4}
    adapted = {"_target_": "toonlab.networks.adapters.Adapted", "domains": ["a", "b"]}
    nodes = {
        "generator": {**adapted, "trunk": trunk},
        "discriminator": {**adapted, "trunk": judge, "where": "inner", "own": ["last"]},
        "adversarial": {"_target_": "toonlab.losses.adversarial.CrossEntropy", "soft": 0.0},
    }
    networks = {name: build(nodes[name]) for name in ("generator", "discriminator")}
    for value in networks["generator"].style("b").parameters():
        value.data.add_(0.1)
    state = networks["generator"].state_dict()
    write_imported(path, state, painting={}, config={"method": nodes}, origin={})
    checkpoint = torch.load(path, weights_only=True)
    judged = networks["discriminator"].state_dict()
    checkpoint["state_dict"] |= {f"discriminator.{name}": value for name, value in judged.items()}
    torch.save(checkpoint, path)
    return path


def test_one_of_several_styles_is_completed(composed, tmp_path: Path) -> None:
    path = several_styles(tmp_path / "styles.ckpt")
    node = OmegaConf.to_container(settings(composed).method, resolve=True)
    with pytest.raises(UsageError, match="choose one with style=a"):
        load_inpainting(path, settings=node)
    one = load_inpainting(path, settings=node, style="b")
    photos = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(one.painter(photos), load_generator(path, style="b").generator(photos))
        assert not torch.equal(one.painter(photos), load_generator(path, style="a").generator(photos))
        scores = one.discriminator(photos)
    # Cross entropy is what its discriminator learned by: -log D.
    assert one.judged
    assert torch.allclose(one.adversarial.fool(scores), torch.nn.functional.softplus(-scores).mean())
    assert not load_inpainting(path, settings=node, style={"a": 0.5, "b": 0.5}).judged
    cfg = settings(composed, f"ckpt={path}", "style=b")
    start = pretrained.start_of(cfg, [])
    assert cfg.method.generator._target_.endswith("ResnetGenerator")
    method = make(cfg, "method")
    pretrained.begin(method, start, str(path))
    assert torch.equal(method.generator(photos), load_generator(path, style="b").generator(photos))
    with pytest.raises(UsageError, match="style=b: of the checkpoint"):
        train.run(composed("data=synthetic", "style=b"))
