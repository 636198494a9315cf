"""Jobs as tasks of a Ray of our own with two GPUs that are none; slow: other Rays, and parents that die."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from remotely import SCRIPT, check_whole, events, job, processes, run, wait_for
from toonlab.errors import UsageError
from toonlab.sweeps.manifest import Manifest, load
from toonlab.sweeps.ray_engine import Ray

pytest.importorskip("ray", reason="pip install -e '.[ray]'")
HERE = Path(__file__).parent
HOST = os.uname().nodename


def engine(*, address: str | None = None, share: float | None = None) -> Ray:
    return Ray(
        address=address,
        gpus_per_job=share,
        cpus_per_job=1,
        max_retries=3,
        start={} if address else {"num_gpus": 2, "num_cpus": 4},
        script=SCRIPT,
        extra=[],
        environment={},
    )


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    started = engine()
    yield started
    started.ray.shutdown()


def test_each_job_sees_its_gpus_alone(ray: Ray, tmp_path: Path) -> None:
    jobs = [job(0, 40), job(1, 40), job(2, 10), job(3, 5, devices=2), job(4, 20, "fail_at=7")]
    with pytest.raises(UsageError, match="1 of 5 jobs did not finish"):
        run(tmp_path, jobs, ray, accelerator="gpu")
    check_whole(tmp_path, jobs[:4])
    assert load(tmp_path).jobs[4].reason == "method.lr: too bold (exit 2)"
    seen = events(tmp_path)
    assert all(e["device"] == f"{HOST} {e['cuda']}" for e in seen)
    assert {e["cuda"] for e in seen if e["job"] == "3_x"} == {"0,1"}
    assert {e["cuda"] for e in seen if e["job"] != "3_x"} == {"0", "1"}
    for gpu in "01":
        here = sorted((e for e in seen if gpu in e["cuda"].split(",")), key=lambda e: e["time"])
        begun = [e["job"] for e in here if e["what"] == "begin"]
        for one, other in pairwise(begun):
            ends = [e["time"] for e in here if e["job"] == one and e["what"] == "end"]
            starts = [e["time"] for e in here if e["job"] == other]
            assert not ends or ends[0] < starts[0]  # one has ended when the other begins
    run(tmp_path, jobs, ray, accelerator="gpu", resume=True)
    check_whole(tmp_path, jobs)


def test_two_jobs_share_a_gpu(ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "gpus_per_job", 0.5)
    jobs = [job(i, 60) for i in range(4)]
    run(tmp_path, jobs, ray, accelerator="gpu")
    check_whole(tmp_path, jobs)
    assert sorted(e["cuda"] for e in events(tmp_path) if e["what"] == "begin") == ["0", "0", "1", "1"]


def test_more_gpus_than_any_node_has_are_refused(ray: Ray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 of 2 jobs did not finish"):
        run(tmp_path, [job(0, 5, devices=3), job(1, 5, devices=4)], ray, accelerator="gpu")
    assert load(tmp_path).jobs[0].reason == (
        "could not be started: it needs 3 GPUs, the largest node of this Ray has 2"
    )


def test_after_an_error_the_others_stop_without_a_gpu(ray: Ray, tmp_path: Path) -> None:
    jobs = [job(0, 5, "fail_at=5", "prepares=1"), job(1, 2000)]
    with pytest.raises(UsageError, match="did not finish"):
        run(tmp_path, jobs, ray, stop_on_error=True)
    assert [each.state for each in load(tmp_path).jobs] == ["failed", "interrupted"]
    assert {e["device"] for e in events(tmp_path)} == {f"{HOST} cpu"}


def test_a_job_whose_worker_is_lost_goes_on_in_another(ray: Ray, tmp_path: Path) -> None:
    each = job(0, 250, "saves=0.5")
    folder = tmp_path / "sweep"
    folder.mkdir()
    started = ray.start(Manifest(folder, [], [each], {}), each)
    assert started
    wait_for(lambda: events(folder))
    run_pid = events(folder)[0]["pid"]
    worker = int(Path(f"/proc/{run_pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(worker, signal.SIGKILL)
    wait_for(started.is_over)
    assert (started.code(), started.reason()) == (0, "")
    check_whole(folder, [each])
    begun = [e["iteration"] for e in events(folder) if e["what"] == "begin"]
    assert len(begun) == 2
    assert begun[1] > 0


def test_what_is_no_ray_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"hydra\.launcher\.address=127\.0\.0\.1:9: no Ray there"):
        engine(address="127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs the package ray: pip install -e '\.\[ray\]'"):
        engine()


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}, {src!r}]
from remotely import job, run
from test_ray_engine import engine
folder = Path({folder!r})
run(folder, [job(i, 200, "saves=0.5") for i in range(3)], engine(address={address!r}),
    resume=(folder / "sweep.json").exists(), accelerator="gpu")
"""


@pytest.fixture
def parent(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    def start(address: str | None) -> subprocess.Popen[bytes]:
        places = {"here": str(HERE), "tests": str(HERE.parent), "src": str(HERE.parents[1] / "src")}
        code = PARENT.format(**places, folder=str(tmp_path / "sweep"), address=address)
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)

    return start


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray that was there before us, by its address, and with a token of its own."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    words = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--port=26379", "--num-gpus=2"]
    words += ["--num-cpus=4", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(8)
    yield "127.0.0.1:26379"
    process.terminate()
    process.wait(60)


def disturb(parent: Any, address: str | None, folder: Path, how: signal.Signals) -> None:
    process = parent(address)
    wait_for(lambda: len(events(folder)) >= 2)
    time.sleep(0.5)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.kill()
    process.communicate(timeout=60)
    if how == signal.SIGINT:
        states = sorted(each.state for each in load(folder).jobs)
        assert states == ["interrupted", "interrupted", "pending"]
    wait_for(lambda: not processes(SCRIPT.name, f"{folder}/"))  # nobody trains unnoticed
    again = parent(address)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said.decode()
    check_whole(folder, load(folder).jobs)
    ends = [e["iteration"] for e in events(folder) if e["what"] == "end"]
    assert ends.count(200) == 3  # nothing ran twice


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_ray_of_our_own_and_a_parent_that_ends(tmp_path: Path, parent: Any, how: signal.Signals) -> None:
    disturb(parent, None, tmp_path / "sweep", how)


@pytest.mark.slow
def test_a_ray_that_was_there_and_parents_that_end(tmp_path: Path, parent: Any, cluster: str) -> None:
    for how in (signal.SIGINT, signal.SIGKILL):
        folder = tmp_path / "sweep"
        disturb(parent, cluster, folder, how)
        folder.rename(tmp_path / how.name)
