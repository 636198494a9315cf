"""Completion in two processes on the processor; see test_devices.py for what all methods have in common."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import PROJECT, Cli, only_run
from shipped import trained_generator
from tiny import same
from toonlab.engine.checkpoint import read

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")


def completing(cli: Cli, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return cli(
        *("train", "method=latent_inpainting", f"ckpt={trained_generator(tmp_path / 'g.ckpt')}"),
        *("data=synthetic", "data.size=32", "data.batch_size=2", "data.eval_images=4", *TWO, *words),
        *(f"method.{network}.width=4" for network in ("learned.latent", "learned.picture", "discriminator")),
        *("iterations=4", "eval_every=2", "log_every=1"),
        *("+callbacks.spy._target_=app.ddp_spy.Spy", f"+callbacks.spy.folder={tmp_path}"),
        PYTHONPATH=str(PROJECT / "tests"),
    )


@pytest.mark.slow
def test_two_processes_learn_one_completion(cli: Cli, tmp_path: Path) -> None:
    result = completing(cli, tmp_path, "method.warmup_iterations=2")
    assert result.returncode == 0, result.stderr
    run = only_run(tmp_path, "latent_inpainting")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in records if "lr/generator" in r] == [1, 2, 3, 4]
    assert [r["iteration"] for r in records if "val/hole_l1" in r] == [2, 4]
    first, second = (torch.load(tmp_path / f"rank{n}.pt", weights_only=True) for n in range(2))
    assert not torch.equal(first["photo"], second["photo"])  # of different photos,
    same(first["state"], second["state"])  # with one result, the measured unit included
    saved = read(run)["state_dict"]
    same(dict(first["state"]), dict(saved))
    assert any(value.any() for name, value in saved.items() if name.startswith("completion.latent.last"))


@pytest.mark.slow
def test_a_search_is_refused_in_two_processes_after_they_built_one_bank(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    search = ("completion=search", f"bank={tmp_path / 'photos'}", "bank_size=32", "data.overfit=true")
    result = completing(cli, tmp_path, *search)
    assert result.returncode == 2
    (said,) = {line for line in result.stderr.splitlines() if line.startswith("error: ")}  # both say it
    assert "trainer.devices=2: completion=search moves one batch" in said
    assert "Traceback" not in result.stderr  # in the second process neither
    assert result.stderr.count("bank:   0%") == 1
    assert len(list(tmp_path.rglob("maps.npy"))) == 1
