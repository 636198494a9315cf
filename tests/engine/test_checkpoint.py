"""Checkpoints: self-describing, safe to load, exact to resume."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from tiny import TINY, same
from toonlab.data.modules import SyntheticData
from toonlab.engine.checkpoint import Checkpoints, build, load_generator, read
from toonlab.engine.intervals import Budget
from toonlab.engine.method import ToonMethod
from toonlab.engine.records import Records
from toonlab.errors import UsageError
from toonlab.representations.edges import EdgeSmooth

Make = Callable[..., ToonMethod]
GENERATORS = {
    "whitebox": {"_target_": "toonlab.networks.unet.UNet", "width": 4, "blocks": 1},
    "cartoongan": {"_target_": "toonlab.networks.resnet.ResnetGenerator", "width": 4, "blocks": 1},
}


def run(
    name: str, folder: Path, iterations: int, *, workers: int = 0, resume: bool = False, **changes: Any
) -> ToonMethod:
    """Train `iterations` in all; a resume starts from fresh objects, as a new process would."""
    method = TINY[name](**changes)
    method.config = {"method": {"generator": GENERATORS[name]}}
    data = SyntheticData(
        count=10,
        size=32,
        batch_size=2,
        eval_batch_size=2,
        workers=workers,
        seed=0,
        zoom=(1.0, 1.5),
        flip=0.5,
        derived={"blurred": EdgeSmooth()},
        extras=method.extras,
    )
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[
            Records(every=3, iterations=iterations),
            Checkpoints(every=4, iterations=iterations, monitor="val/x"),
            Budget(iterations=iterations),
        ],
        logger=False,
        default_root_dir=folder,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    last = str(folder / "checkpoints" / "last.ckpt") if resume else None
    trainer.fit(method, data, ckpt_path=last, weights_only=True)
    return method


@pytest.mark.parametrize("name", sorted(TINY))
@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, name: str, workers: int) -> None:
    changes = {"warmup_iterations": 3, "warmup_weights": {"content": 1.0}, "accumulate": 2}
    run(name, tmp_path / "whole", 11, workers=workers, **changes)
    for stop in (2, 7, 11):  # in the warm-up, and in the middle of nothing in particular
        run(name, tmp_path / "parts", stop, workers=workers, resume=stop > 2, **changes)
    whole, parts = (read(tmp_path / which) for which in ("whole", "parts"))
    for key in ("state_dict", "optimizer_states", "toonlab"):
        same(whole[key], parts[key], key)


def test_iterations_are_iterations_not_optimiser_steps(tmp_path: Path) -> None:
    method = run("whitebox", tmp_path, 5, accumulate=3)
    assert method.iteration == 5
    assert method.trainer.global_step == 10  # Lightning counts both sides
    assert method.trainer.fit_loop.epoch_loop.total_batch_idx + 1 == 15


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_checkpoint_holds_no_frozen_network_and_needs_no_code(tmp_path: Path, name: str) -> None:
    method = run(name, tmp_path, 1)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert not [key for key in checkpoint["state_dict"] if "features" in key]
    assert checkpoint["toonlab"]["iteration"] == 1
    assert "loops" not in checkpoint
    loaded = load_generator(tmp_path)
    photo = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(loaded.generator(photo), method.ema.average(photo))
    raw = load_generator(tmp_path / "checkpoints" / "last.ckpt", average=False)
    torch.testing.assert_close(raw.generator(photo), method.generator(photo))
    assert loaded.painting == method.painting()


def test_a_checkpoint_says_how_large_photos_are_best_painted(tmp_path: Path) -> None:
    run("whitebox", tmp_path, 1, quality="broad")
    assert load_generator(tmp_path).painting["quality"] == "broad"
    with pytest.raises(UsageError, match=r"method.quality=bread: use one of full.*did you mean 'broad'"):
        run("whitebox", tmp_path / "other", 1, quality="bread")


def test_a_kill_in_the_middle_of_a_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("whitebox", tmp_path, 2)
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(BaseException):  # noqa: B017, PT011 (Lightning may exit or re-raise)
        run("whitebox", tmp_path, 4, resume=True)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before


def test_best_is_kept_by_the_smallest_score(tmp_path: Path) -> None:
    scores = iter([5.0, 3.0, 4.0])

    class Score(Budget):
        def on_iteration(self, trainer: Trainer, method: ToonMethod) -> None:
            method.scores, method.scored_at = {"val/x": next(scores)}, method.iteration

    method = TINY["whitebox"]()
    method.config = {"method": {"generator": GENERATORS["whitebox"]}}
    data = SyntheticData(
        count=4, size=32, batch_size=2, eval_batch_size=2, workers=0, seed=0, zoom=(1.0, 1.5), flip=0.5
    )
    (tmp_path / "checkpoints").mkdir()
    keeper = Checkpoints(every=1, iterations=3, monitor="val/x")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=[Score(iterations=3), keeper, Budget(iterations=3)],
        logger=False,
        default_root_dir=tmp_path,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, data)
    assert (keeper.best_score, keeper.best_iteration) == (3.0, 2)
    assert load_generator(tmp_path / "checkpoints" / "best.ckpt").iteration == 2
    assert load_generator(tmp_path).iteration == 3


def test_bad_checkpoints_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "no.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(UsageError, match="not a toonlab checkpoint"):
        read(tmp_path / "foreign.ckpt")
    torch.save({"toonlab": {"format": 99}}, tmp_path / "newer.ckpt")
    with pytest.raises(UsageError, match="newer toonlab"):
        read(tmp_path / "newer.ckpt")


def test_a_strangers_checkpoint_can_only_build_networks() -> None:
    with pytest.raises(UsageError, match="refused"):
        build({"_target_": "os.system", "command": "touch /tmp/owned"})
    with pytest.raises(UsageError, match="refused"):
        build({"_target_": "subprocess.Popen", "args": ["true"]})
    with pytest.raises(UsageError, match="not installed"):
        build({"_target_": "nowhere.Net"})
    assert isinstance(build({"_target_": "torch.nn.Identity"}), torch.nn.Identity)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    run("whitebox", tmp_path, 1)
    checkpoint = read(tmp_path)
    checkpoint["toonlab"]["config"]["method"]["generator"] = GENERATORS["whitebox"] | {"width": 8}
    torch.save(checkpoint, tmp_path / "wrong.ckpt")
    with pytest.raises(UsageError, match=f"{os.sep}wrong.ckpt: its weights do not fit"):
        load_generator(tmp_path / "wrong.ckpt")
