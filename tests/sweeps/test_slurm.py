"""Jobs on a real SLURM of one node, see slurm.sh: pytest -m slow tests/sweeps/test_slurm.py, as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remotely import SCRIPT, check_whole, events, job, run, wait_for
from toonlab.sweeps.manifest import load
from toonlab.sweeps.submitit_engine import Submitit

HERE = Path(__file__).parent
HOST = os.uname().nodename

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("slurmctld") and shutil.which("munged") and os.geteuid() == 0),
        reason="needs slurm-wlm, munge and root",
    ),
]


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    environment = os.environ | {"SLURM_PORT": "27817"}
    subprocess.run([HERE / "slurm.sh", "start", folder], check=True, timeout=60, env=environment)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    subprocess.run([HERE / "slurm.sh", "stop", folder], check=False, timeout=60)
    del os.environ["SLURM_CONF"]


def engine(folder: Path, *, partition: str = "low", **more: Any) -> Submitit:
    parameters = {"timeout_min": 30, "cpus_per_task": 1, "slurm_partition": partition}
    return Submitit(
        folder,
        cluster="slurm",
        at_once=9,
        max_timeouts=9,
        parameters=parameters | more,
        poll_seconds=0.5,
        script=SCRIPT,
        extra=[],
        environment={},
    )


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}, {src!r}]
from remotely import job, run
from test_slurm import engine
folder = Path({folder!r})
jobs = [job(i, {iterations}, "pause=0.05") for i in range({jobs})]
run(folder, jobs, engine(folder, **{more!r}), resume=(folder / "sweep.json").exists(), accelerator="gpu")
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def parent(tmp_path: Path) -> Start:
    def start(iterations: int, jobs: int = 1, **more: Any) -> subprocess.Popen[bytes]:
        places = {"here": str(HERE), "tests": str(HERE.parent), "src": str(HERE.parents[1] / "src")}
        code = PARENT.format(
            **places, folder=str(tmp_path / "sweep"), iterations=iterations, jobs=jobs, more=more
        )
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)

    return start


def queue() -> dict[str, str]:
    words = ["squeue", "--noheader", "--format=%i %T"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split() for line in lines)  # type: ignore[misc]


def hurry() -> None:
    """SLURM waits two minutes before it starts what was queued again; its node needs KillWait, 10 seconds."""
    time.sleep(13)
    for ticket, state in queue().items():
        if state == "PENDING":
            words = ["scontrol", "update", f"job={ticket}", "starttime=now"]
            subprocess.run(words, capture_output=True, check=False)


def waits() -> bool:
    return "PENDING" in queue().values()


def test_each_job_has_its_gpus_alone(tmp_path: Path) -> None:
    jobs = [job(0, 40), job(1, 40), job(2, 10), job(3, 10, devices=2)]
    run(tmp_path, jobs, engine(tmp_path), accelerator="gpu")
    check_whole(tmp_path, jobs)
    seen = events(tmp_path)
    assert all(e["device"] == f"{HOST} {e['cuda']}" for e in seen)
    assert {e["cuda"] for e in seen if e["job"] == "3_x"} == {"0,1"}
    assert {e["cuda"] for e in seen if e["job"] in ("0_x", "1_x")} == {"0", "1"}


def test_a_time_limit_puts_a_job_back_where_it_goes_on(tmp_path: Path, parent: Start) -> None:
    process = parent(500, timeout_min=1, slurm_signal_delay_s=50)
    wait_for(lambda: events(tmp_path / "sweep"))
    wait_for(waits, 90)
    wait_for(lambda: load(tmp_path / "sweep").jobs[0].ticket in queue())
    before = events(tmp_path / "sweep")
    assert [e["what"] for e in before] == ["begin", "end"]
    assert before[1]["signals"] == [signal.SIGINT]
    while process.poll() is None:
        hurry()
        wait_for(lambda: process.poll() is not None or waits(), 90)
    assert process.returncode == 0
    check_whole(tmp_path / "sweep", load(tmp_path / "sweep").jobs)
    assert len(list((tmp_path / "sweep").glob("0_x*"))) == 1  # one run folder
    assert len(list((tmp_path / "sweep" / ".submitit").glob("*_submission.sh"))) == 1  # one job of SLURM's


def test_a_preempted_job_goes_on(tmp_path: Path, parent: Start) -> None:
    process = parent(300)
    wait_for(lambda: events(tmp_path / "sweep"))
    words = ["sbatch", "-p", "high", "--gres=gpu:2", "--output=/dev/null", "--wrap=sleep 1"]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    wait_for(lambda: len(events(tmp_path / "sweep")) == 2)
    assert events(tmp_path / "sweep")[1]["signals"] == [signal.SIGTERM]  # SLURM tells the run itself
    wait_for(lambda: list(queue().values()) == ["PENDING"], 90)
    hurry()
    assert process.wait(60) == 0
    check_whole(tmp_path / "sweep", load(tmp_path / "sweep").jobs)


def test_a_cancelled_job_saves_and_slurms_word_is_told(tmp_path: Path, parent: Start) -> None:
    process = parent(2000, jobs=3)  # the third waits
    wait_for(lambda: len(events(tmp_path / "sweep")) == 2)
    subprocess.run(["scancel", *queue()], check=True)
    process.communicate(timeout=60)
    jobs = load(tmp_path / "sweep").jobs
    assert sorted(each.state for each in jobs) == ["failed", "interrupted", "interrupted"]
    assert all("CANCELLED" in each.reason for each in jobs)


def test_a_killed_parent_and_ctrl_c_leave_the_queue_alone(tmp_path: Path, parent: Start) -> None:
    folder = tmp_path / "sweep"
    process = parent(150, jobs=4)
    wait_for(lambda: len(events(folder)) >= 2)
    process.kill()
    process.communicate()
    assert len(queue()) >= 3
    process = parent(150, jobs=4)
    wait_for(lambda: any(each.state == "queued" for each in load(folder).jobs))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert queue()
    process = parent(150, jobs=4)
    assert process.wait(120) == 0
    check_whole(folder, load(folder).jobs)
    assert [e["what"] for e in events(folder)].count("begin") == 4  # nothing ran twice
    assert len(list((folder / ".submitit").glob("*_submission.sh"))) == 4  # nor was submitted twice


def test_after_an_error_the_others_stop(tmp_path: Path) -> None:
    jobs = [job(0, 3000, "fail_at=10", "prepares=2"), job(1, 2000), job(2, 2000)]
    with pytest.raises(Exception, match="3 of 3 jobs did not finish"):
        run(tmp_path, jobs, engine(tmp_path), stop_on_error=True, accelerator="gpu")
    states = [each.state for each in load(tmp_path).jobs]
    assert states[0] == "failed"
    assert "interrupted" in states
    assert not queue()


def test_what_slurm_refuses_fails_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="1 of 1 jobs did not finish"):
        run(tmp_path, [job(0, 5)], engine(tmp_path, partition="nowhere"))
    assert "Invalid partition" in load(tmp_path).jobs[0].reason
