"""Jobs by way of submitit: its local executor, and a SLURM that is played by shell scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remotely import SCRIPT, check_whole, events, job, processes, run, wait_for
from toonlab.errors import UsageError
from toonlab.sweeps import slurm_queue
from toonlab.sweeps.manifest import Job, Manifest, load
from toonlab.sweeps.slurm_queue import Entry, Queue, parse
from toonlab.sweeps.submitit_engine import Submitit

HERE = Path(__file__).parent


def engine(folder: Path, *, at_once: int = 2, max_timeouts: int = 2) -> Submitit:
    return Submitit(
        folder,
        cluster="local",
        at_once=at_once,
        max_timeouts=max_timeouts,
        parameters={"timeout_min": 5},
        poll_seconds=1,
        script=SCRIPT,
        extra=[],
        environment={"CUDA_VISIBLE_DEVICES": ""},
    )


def test_jobs_run_fail_and_are_tried_again(tmp_path: Path) -> None:
    jobs = [job(0, 20), job(1, 20, "fail_at=7"), job(2, 5)]
    with pytest.raises(UsageError, match="1 of 3 jobs did not finish"):
        run(tmp_path, jobs, engine(tmp_path))
    kept = load(tmp_path)
    assert [each.state for each in kept.jobs] == ["finished", "failed", "finished"]
    assert kept.jobs[1].reason == "method.lr: too bold (exit 2)"
    assert [each.attempts for each in kept.jobs] == [1, 1, 1]
    assert kept.jobs[0].device == f"{os.uname().nodename} cpu"
    assert kept.how == ["hydra/launcher=x"]
    run(tmp_path, jobs, engine(tmp_path), resume=True)
    check_whole(tmp_path, jobs)
    assert len(events(tmp_path)) == 7  # 2 + 1 + 2, and the second attempt


def test_a_timeout_puts_a_job_back_where_it_goes_on(tmp_path: Path) -> None:
    """submitit's signal, to its task alone."""
    each = job(0, 150, "saves=0.3")
    Manifest(tmp_path, [], [each], {}).save()
    held = engine(tmp_path)
    started = held.start(load(tmp_path), each)
    assert started
    wait_for(lambda: events(tmp_path))
    (task,) = (pid for pid in processes("submitit.core._submit", str(tmp_path)) if not _has(pid, "_local"))
    os.kill(task, signal.SIGUSR2)
    wait_for(started.is_over)
    assert started.code() == 0
    check_whole(tmp_path, [each])
    seen = events(tmp_path)
    assert [e["what"] for e in seen] == ["begin", "end"] * 2
    assert seen[1]["signals"] == [signal.SIGINT]
    assert seen[1]["iteration"] == seen[2]["iteration"] < 150


def test_too_many_timeouts_are_told(tmp_path: Path) -> None:
    each = job(0, 500)
    Manifest(tmp_path, [], [each], {}).save()
    started = engine(tmp_path, max_timeouts=0).start(load(tmp_path), each)
    assert started
    wait_for(lambda: events(tmp_path))
    (task,) = (pid for pid in processes("submitit.core._submit", str(tmp_path)) if not _has(pid, "_local"))
    os.kill(task, signal.SIGUSR2)
    wait_for(started.is_over)
    assert started.code() is None
    assert "timed-out too many times" in started.reason()


def test_after_an_error_the_others_may_stop(tmp_path: Path) -> None:
    jobs = [job(0, 5, "fail_at=5"), job(1, 900)]
    with pytest.raises(UsageError, match="did not finish"):
        run(tmp_path, jobs, engine(tmp_path), stop_on_error=True)
    assert [each.state for each in load(tmp_path).jobs] == ["failed", "interrupted"]


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}, {src!r}]
from remotely import job, run
from test_submitit_engine import engine
run(Path({folder!r}), [job(i, 60) for i in range(3)], engine(Path({folder!r})), resume={resume})
"""


@pytest.fixture
def parent(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    def start(*, resume: bool = False) -> subprocess.Popen[bytes]:
        src = str(HERE.parents[1] / "src")
        code = PARENT.format(
            here=str(HERE), tests=str(HERE.parent), src=src, folder=str(tmp_path), resume=resume
        )
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)

    return start


def test_a_killed_parent_leaves_jobs_that_the_next_one_waits_for(tmp_path: Path, parent: Any) -> None:
    process = parent()
    wait_for(lambda: len(events(tmp_path)) == 2)
    process.kill()
    process.communicate()
    again = parent(resume=True)
    assert again.wait(60) == 0
    jobs = load(tmp_path).jobs
    check_whole(tmp_path, jobs)
    assert len(events(tmp_path)) == 6  # nothing ran twice


def test_ctrl_c_on_a_terminal_lets_jobs_save(tmp_path: Path, parent: Any) -> None:
    """It reaches submitit's processes as well, which kill each other a second later."""
    process = parent()
    wait_for(lambda: len(events(tmp_path)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert sorted(each.state for each in load(tmp_path).jobs) == ["interrupted"] * 2 + ["pending"]
    assert [e["signals"] for e in events(tmp_path) if e["what"] == "end"] == [[signal.SIGINT]] * 2
    assert parent(resume=True).wait(60) == 0
    check_whole(tmp_path, load(tmp_path).jobs)


def test_what_submitit_does_not_know_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common: dict[str, Any] = {
        "at_once": 1,
        "max_timeouts": 1,
        "poll_seconds": 1,
        "script": SCRIPT,
        "extra": [],
        "environment": {},
    }
    with pytest.raises(UsageError, match=r"hydra\.launcher: Unknown argument 'colour'"):
        Submitit(tmp_path, cluster="local", parameters={"slurm_colour": "red"}, **common)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no SLURM here"):
        Submitit(tmp_path, cluster="slurm", parameters={}, **common)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"needs the package submitit: pip install -e '\.\[slurm\]'"):
        Submitit(tmp_path, cluster="local", parameters={}, **common)


# What SLURM says, played.

PLAYED = {
    "squeue": '[ -e silent ] && { echo "slurm_load_jobs error: down" >&2; exit 1; }; cat queue',
    "sbatch": 'cp "$1" script; echo "Submitted batch job 71"',
    "scancel": 'echo "$@" >>cancelled',
    "sacct": 'echo "NODE_FAIL"',
    "srun": "",
}


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands; `queue` in it is what squeue answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in PLAYED.items():
        (folder / name).write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
        (folder / name).chmod(0o755)
    (folder / "queue").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def on_slurm(folder: Path) -> Submitit:
    return Submitit(
        folder,
        cluster="slurm",
        at_once=9,
        max_timeouts=3,
        parameters={"timeout_min": 60, "slurm_partition": "gpu", "slurm_setup": ["module load cuda"]},
        poll_seconds=0,
        script=SCRIPT,
        extra=[],
        environment={},
    )


def test_a_job_asks_slurm_for_the_gpus_that_it_trains_on(tmp_path: Path, played: Path) -> None:
    one = job(0, 5, devices=2)
    kept = Manifest(tmp_path, [], [one], {one.id: {"trainer": {"accelerator": "gpu"}}})
    started = on_slurm(tmp_path).start(kept, one)
    assert started
    assert (one.ticket, one.state) == ("71", "queued")
    script = (played / "script").read_text()
    for line in ("gpus-per-node=2", "partition=gpu", "time=60", "signal=USR2@90", "open-mode=append"):
        assert f"#SBATCH --{line}\n" in script, line
    assert f"job-name=toonlab-{tmp_path.name}-id0" in script
    assert script.index("module load cuda") < script.index("srun")
    processor = job(1, 5)
    kept = Manifest(tmp_path, [], [processor], {processor.id: {"trainer": {"accelerator": "cpu"}}})
    on_slurm(tmp_path).start(kept, processor)
    assert "gpus-per-node=0" in (played / "script").read_text()


def test_a_job_waits_runs_vanishes_and_slurm_says_why(tmp_path: Path, played: Path) -> None:
    one = job(0, 5)
    kept = Manifest(tmp_path, [], [one], {})
    started = on_slurm(tmp_path).start(kept, one)
    assert started

    def look(state: str, times: int = 1) -> bool:
        (played / "queue").write_text(f"71|{state}|None|x\n" if state else "")
        return [started.is_over() for _ in range(times)][-1]

    assert not look("PENDING", 5)
    assert one.state == "queued"
    (tmp_path / ".locks").mkdir(exist_ok=True)
    (tmp_path / ".locks" / "id0").write_text("node7 0")
    assert not look("RUNNING")
    assert (one.state, one.device) == ("running", "node7 0")
    assert not look("COMPLETING", 5)
    assert not look("PREEMPTED")  # on its way back into the queue
    assert not look("PENDING")
    assert one.state == "queued"
    (played / "silent").touch()
    assert not look("", 9)  # a controller that does not answer says nothing of jobs
    (played / "silent").unlink()
    assert look("", 3)
    assert started.code() is None
    assert started.reason() == "SLURM job 71: NODE_FAIL"
    look("CANCELLED")
    assert started.reason() == "SLURM job 71: CANCELLED"


def test_a_parent_finds_what_an_earlier_one_submitted(tmp_path: Path, played: Path) -> None:
    one, two, three = job(0, 5), job(1, 5), job(2, 5)
    one.ticket, three.ticket = "71", "73"
    name = f"toonlab-{tmp_path.name}-{two.id}"
    # The second's id was not saved any more; the third is over.
    (played / "queue").write_text(f"71|PENDING|Priority|x\n72|RUNNING|None|{name}\n73|FAILED|x|x\n")
    kept = Manifest(tmp_path, [], [one, two, three], {})
    again = on_slurm(tmp_path)
    found = [again.outlived(kept, each) for each in (one, two, three)]
    assert [each is not None for each in found] == [True, True, False]
    assert two.ticket == "72"
    left = [each for each in found if each]
    assert not any(each.ours for each in left)
    assert "scancel 71 72" in again.farewell(left)
    left[0].stop(at_once=False)
    assert (played / "cancelled").read_text() == "--state=PENDING 71\n"


def test_ctrl_c_leaves_jobs_in_the_queue_as_they_are(tmp_path: Path, played: Path) -> None:
    folder = tmp_path / "sweep"
    (played / "queue").write_text("71|RUNNING|None|x\n")
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}, {str(HERE.parents[1] / "src")!r}]
import logging; logging.basicConfig(level="INFO", format="%(message)s")
from remotely import job, run
from test_submitit_engine import on_slurm
run(Path({str(folder)!r}), [job(0, 5)], on_slurm(Path({str(folder)!r})))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (folder / "sweep.json").exists() and load(folder).jobs[0].ticket)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "scancel 71" in said
    assert f"-m resume={folder}" in said
    assert load(folder).jobs[0].state == "queued"
    assert not (played / "cancelled").exists()


def test_the_queue_is_not_asked_more_often_than_it_likes(played: Path) -> None:
    (played / "squeue").write_text(f"#!/bin/sh\necho x >>{played}/asked\n")
    queue = Queue(poll_seconds=100)
    for _ in range(5):
        queue.is_over("1")
        queue.state("1")
    assert (played / "asked").read_text() == "x\n"


def test_names_may_hold_anything() -> None:
    assert parse(["7|RUNNING|None|a|b"]) == {"7": Entry("a|b", "RUNNING", "")}
    assert slurm_queue.GONE not in slurm_queue.OVER


def _has(pid: int, word: str) -> bool:
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def test_a_manifest_of_before_has_no_tickets(tmp_path: Path) -> None:
    Manifest(tmp_path, [], [job(0, 5)], {}).save()
    whole = json.loads((tmp_path / "sweep.json").read_text())
    del whole["how"], whole["jobs"][0]["ticket"]
    (tmp_path / "sweep.json").write_text(json.dumps(whole))
    assert load(tmp_path).jobs == [Job(**whole["jobs"][0])]
    assert load(tmp_path).how == []
