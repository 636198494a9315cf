"""Two processes on the processor: one run folder, one record, one network, one end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Cli, command, environment, only_run
from toonlab.app import train
from toonlab.engine.checkpoint import read

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
# Adam would turn the rounding errors of a gradient that is 0 into whole steps (docs/devices.md).
DESCENT = tuple(
    word
    for side in ("optimizer", "discriminator_optimizer")
    for word in (f"method.{side}._target_=torch.optim.SGD", f"~method.{side}.betas")
)
SMALL = (
    "method=cartoongan",  # draws nothing at random: two processes are one with twice the batch
    "method.generator.width=4",
    "method.generator.blocks=1",
    "method.discriminator.width=4",
    "data=synthetic",
    "log_every=1",
    "save_every=2",
)


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


@pytest.mark.slow
def test_two_processes_record_what_one_with_twice_the_batch_does(cli: Cli, composed, tmp_path: Path) -> None:
    half = (*SMALL, *DESCENT, "iterations=4", "eval_every=4", "data.batch_size=1")
    result = cli("train", *half, *TWO)
    assert result.returncode == 0, result.stderr
    assert "Finished 4 iterations" in result.stderr
    assert result.stderr.count("generator of") == 1  # the first process alone speaks
    run = only_run(tmp_path, "cartoongan")
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["0000000.png", "0000004.png"]
    assert sorted(path.name for path in run.rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]

    train.run(composed(*half, "data.batch_size=2"))
    two, one = losses(run), losses(tmp_path)
    assert [line["iteration"] for line in two] == [line["iteration"] for line in one] == [1, 2, 3, 4, 4]
    for ours, theirs in zip(two, one, strict=True):
        # float32 rounds the two batches differently; the score of a fake carries 2e-3 of it after four steps.
        assert ours == pytest.approx(theirs, rel=1e-2, abs=1e-6), ours["iteration"]

    result = cli("train", f"resume={run}", "iterations=6")
    assert result.returncode == 0, result.stderr
    assert read(run)["toonlab"]["iteration"] == 6
    assert only_run(tmp_path, "cartoongan") == run


# How it ends -------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """The other ranks that a first process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            words = (status.parent / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if parent == pid and b"train.py" in words:
            found.append(int(status.parent.name))
    return found


class Pair:
    """A run of two processes that would go on for ever."""

    def __init__(self, tmp_path: Path, *more: str) -> None:
        endless = ("iterations=100000", "save_every=100000", "eval_every=100000", *more)
        self.first = subprocess.Popen(
            command("train", *SMALL, *endless, *TWO),
            cwd=tmp_path,
            env=environment(tmp_path, PYTHONPATH=str(Path(__file__).parents[1])),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            wait_for(lambda: bool(list(tmp_path.rglob("metrics.jsonl"))) or self.first.poll() is not None)
        except AssertionError:
            os.killpg(self.first.pid, signal.SIGKILL)
            raise
        self.others = children(self.first.pid)

    def end(self) -> tuple[int, str]:
        """Wait for the first one; none may be left after it."""
        _, errors = self.first.communicate(timeout=120)
        wait_for(lambda: not any(Path("/proc", str(pid)).exists() for pid in self.others), seconds=20)
        return self.first.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to", ["first", "second", "all"])
def test_a_signal_to_any_process_ends_all_with_its_code_and_one_save(
    tmp_path: Path, number: signal.Signals, to: str
) -> None:
    pair = Pair(tmp_path)
    (second,) = pair.others
    if to == "all":  # as a terminal does
        os.killpg(pair.first.pid, number)
    else:
        os.kill(pair.first.pid if to == "first" else second, number)
    code, errors = pair.end()
    assert code == 128 + number, errors
    assert "Traceback" not in errors
    assert errors.count("Stopped at iteration") == 1
    run = only_run(tmp_path, "cartoongan")
    assert json.loads((run / "result.json").read_text())["status"] == "interrupted"
    assert read(run)["toonlab"]["iteration"] == losses(run)[-1]["iteration"]
    assert not list(run.rglob(".*.part"))


@pytest.mark.slow
def test_when_the_second_process_is_killed_the_first_says_so_and_ends(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    os.kill(pair.others[0], signal.SIGKILL)
    code, errors = pair.end()
    assert code == 2, errors
    assert "error: process 1 of 2 was ended by signal 9" in errors
    assert "Traceback" not in errors
    run = only_run(tmp_path, "cartoongan")
    assert json.loads((run / "result.json").read_text())["status"] == "failed"


@pytest.mark.slow
def test_when_the_first_process_is_killed_the_second_ends_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.first.kill()
    code, errors = pair.end()
    assert code == -signal.SIGKILL
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_process_fails_its_message_is_shown_and_all_end(tmp_path: Path, rank: int) -> None:
    pair = Pair(tmp_path, f"+callbacks.fault={{_target_: fault.Fault, rank: {rank}, at: 3}}")
    code, errors = pair.end()
    assert code == 2, errors
    whose = "process 1 of 2: " if rank == 1 else ""
    assert errors.count(f"error: {whose}photo.png was an image") == errors.count("error: ") == 1
    assert "Traceback" not in errors
