"""Kill, interrupt, resume: the real processes."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig

from commands import SMALL, Cli, command, environment, only_run
from shipped import SMALL as SMALL_NETWORKS
from shipped import shrink
from tiny import same
from toonlab.app import train
from toonlab.app.resume import resumed_arguments
from toonlab.engine.checkpoint import read
from toonlab.engine.intervals import Interrupt
from toonlab.errors import UsageError


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("train", *SMALL, *arguments),
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_going_on_for_longer_does_not_warm_up_again(cli: Cli, tmp_path: Path) -> None:
    assert cli("train", *SMALL, "iterations=5").returncode == 0  # one of warm-up
    run = only_run(tmp_path)
    assert cli("train", f"resume={run}", "iterations=30").returncode == 0  # a fifth of these would be six
    warm = [line["iteration"] for line in lines(run) if "generator/reconstruction" in line]
    assert warm == [1]
    assert (run / "config.yaml").read_text().count("iterations: 30") == 1
    result = cli("train", f"resume={run}")
    assert "already trained its 30 iterations" in result.stderr


def test_two_processes_do_not_train_one_run(cli: Cli, tmp_path: Path) -> None:
    """As when a parent is killed, its training lives on, and the same command is given again."""
    first = start(tmp_path, "iterations=100000", "save_every=1", "hydra.run.dir=run")
    try:
        wait_for((tmp_path / "run" / "checkpoints" / "last.ckpt").exists)
        for words in (["resume=run"], [*SMALL, "hydra.run.dir=run"]):
            second = cli("train", *words)
            assert second.returncode == 2
            assert f"{tmp_path / 'run'}: another process trains this run; wait for it" in second.stderr
            assert "Traceback" not in second.stderr
        assert first.poll() is None
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert (
        cli("train", "resume=run", f"iterations={lines(tmp_path / 'run')[-1]['iteration'] + 2}").returncode
        == 0
    )


def test_killed_between_its_last_save_and_its_result_a_run_is_settled(
    composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    words = (*SMALL, "iterations=3")
    train.run(composed(*words))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    result, state, record = tmp_path / "result.json", read(tmp_path), (tmp_path / "metrics.jsonl").read_text()
    said = json.loads(result.read_text())
    result.unlink()
    train.run(composed(*words, f"resume={tmp_path}"))  # no SystemExit
    settled = json.loads(result.read_text())
    varying = ("peak_memory_mib", "seconds", "images_per_second")
    assert {k: v for k, v in settled.items() if k not in varying} == {
        k: v for k, v in said.items() if k not in varying
    }
    assert settled["status"] == "finished"
    assert settled["seconds"] <= said["seconds"]  # nothing was trained
    for key in ("state_dict", "optimizer_states", "toonlab"):
        same(read(tmp_path)[key], state[key], key)
    assert (tmp_path / "metrics.jsonl").read_text() == record
    with pytest.raises(UsageError, match="already trained its 3 iterations"):
        train.run(composed(*words, f"resume={tmp_path}"))


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_killed_and_resumed_equals_uninterrupted(cli: Cli, tmp_path: Path, workers: int) -> None:
    """kill -9 somewhere after the first save; what was trained since is trained again."""
    # The layout is kept in the checkpoint as well: weights and moments.
    arguments = ["iterations=60", f"data.workers={workers}", f"method.channels_last={workers > 0}"]
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    process = start(tmp_path / "killed", *arguments)
    wait_for(lambda: bool(list((tmp_path / "killed").rglob("last.ckpt"))))
    process.kill()
    process.wait()
    wait_for(lambda: not alive(process.pid), seconds=20)  # neither the workers nor their fork server
    run = only_run(tmp_path / "killed")
    stopped_at = read(run)["toonlab"]["iteration"]
    assert stopped_at < 60
    result = cli("train", f"resume={run}")
    assert result.returncode == 0, result.stderr
    whole = start(tmp_path / "whole", *arguments)
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors

    one, two = read(run), read(only_run(tmp_path / "whole"))
    for key in ("state_dict", "optimizer_states"):
        same(one[key], two[key], key)
    losses = [
        [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines(where)]
        for where in (run, only_run(tmp_path / "whole"))
    ]
    assert losses[0] == losses[1]
    assert [line["iteration"] for line in losses[0] if "lr/generator" in line] == list(range(1, 61))


def test_ctrl_c_saves_and_says_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    process = start(tmp_path, "iterations=100000", "save_every=100000", "data.workers=1")
    wait_for(lambda: bool(list(tmp_path.rglob("metrics.jsonl"))))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    run = only_run(tmp_path)
    assert f"resume={run}" in errors
    assert json.loads((run / "result.json").read_text())["status"] == "interrupted"
    stopped_at = read(run)["toonlab"]["iteration"]
    assert stopped_at == lines(run)[-1]["iteration"]

    result = cli("train", f"resume={run}", "method.weights.tv=1")
    assert result.returncode == 2
    assert "stays the same experiment" in result.stderr
    result = cli("train", f"resume={run}", f"iterations={stopped_at}")
    assert result.returncode == 2
    assert "larger iterations" in result.stderr
    result = cli("train", f"resume={run}", f"iterations={stopped_at + 2}")
    assert result.returncode == 0, result.stderr
    assert read(run)["toonlab"]["iteration"] == stopped_at + 2
    assert [line["iteration"] for line in lines(run) if "lr/generator" in line] == list(
        range(1, stopped_at + 3)
    )


@pytest.mark.parametrize(
    ("raised", "ends", "code"),
    [(KeyboardInterrupt, KeyboardInterrupt, None), (SIGTERMException, SystemExit, 143)],
)
def test_a_signal_before_the_first_iteration_ends_it_as_a_later_one(
    composed: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: type[BaseException],
    ends: type[BaseException],
    code: int | None,
) -> None:
    """Lightning would make exit code 1 of Ctrl-C, and of SIGTERM a success."""

    def interrupted(*_: object) -> None:
        raise raised

    monkeypatch.setattr(Interrupt, "on_train_start", interrupted)
    cfg = composed("method=whitebox", "data=synthetic", "data.count=4", "iterations=2")
    shrink(cfg.method, SMALL_NETWORKS)
    with pytest.raises(ends) as stopped:
        train.run(cfg)
    assert getattr(stopped.value, "code", None) == code
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "interrupted"


def test_a_sweep_goes_on_with_m(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").touch()
    with pytest.raises(UsageError, match="a sweep; go on with it with -m"):
        resumed_arguments(["train.py", f"resume={tmp_path}"])
