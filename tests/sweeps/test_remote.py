"""A job on a node, called by whatever scheduler: claimed, told, guarded."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remotely import SCRIPT, check_whole, events, job, processes, undisturbed, wait_for, weights
from toonlab.sweeps import remote, worker
from toonlab.sweeps.engine import claim, orphan
from toonlab.sweeps.manifest import Job, Manifest
from toonlab.sweeps.remote import BUSY, STOPPED, RemoteJob


def call(folder: Path, each: Job, **more: float) -> RemoteJob:
    return RemoteJob(folder, each, script=SCRIPT, extra=[], environment={"X": "1"}, **more)


def manifest(folder: Path, each: Job) -> Manifest:
    return Manifest(folder, [], [each], {})


NODE = """
import pickle, sys
from pathlib import Path
sys.exit(pickle.loads(Path(sys.argv[1]).read_bytes())())
"""


def node(folder: Path, each: Job, **more: float) -> subprocess.Popen[bytes]:
    """Call a job in a process of its own, as a node does."""
    folder.mkdir(exist_ok=True)
    kept = folder / f"{each.id}.pkl"
    kept.write_bytes(pickle.dumps(call(folder, each, **more)))
    return subprocess.Popen([sys.executable, "-c", NODE, str(kept)])


def began(folder: Path) -> bool:
    return bool(events(folder))


def test_it_runs_the_job_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    each = job(0, 10)
    assert call(tmp_path, each)() == 0
    check_whole(tmp_path, [each])
    place = remote.place_of(manifest(tmp_path, each), each)
    assert place == f"{os.uname().nodename} 3"
    assert {(e["device"], e["cuda"]) for e in events(tmp_path)} == {(place, "3")}
    assert orphan(manifest(tmp_path, each), each) is None  # its claim is free again
    assert call(tmp_path, each)() == 0  # a cluster that calls it again
    assert len(events(tmp_path)) == 2  # has it do nothing
    failing = job(1, 10, "fail_at=7")
    assert call(tmp_path, failing)() == 2
    assert call(tmp_path, failing)() == 0  # goes on in the same folder
    assert weights(tmp_path, failing) == undisturbed(failing)


def test_a_job_knows_nothing_of_the_cluster_that_would_mislead_lightning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_NTASKS", "SLURM_PROCID", "SUBMITIT_EXECUTOR", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "1")
    found = worker.environment_of(tmp_path, {})
    assert [name for name in found if name.startswith(("SLURM", "SUBMITIT"))] == ["SLURM_JOB_ID"]


def test_a_job_that_somebody_works_on_is_waited_for_not_doubled(tmp_path: Path) -> None:
    each = job(0, 20)
    held = claim(manifest(tmp_path, each), each)
    assert held is not None
    assert call(tmp_path, each, patience=0.3)() == BUSY
    other = node(tmp_path, each)
    time.sleep(0.5)
    assert not began(tmp_path)
    os.close(held)
    assert other.wait(30) == 0
    check_whole(tmp_path, [each])


def test_it_stops_when_it_is_asked_to_and_goes_on_later(tmp_path: Path) -> None:
    each = job(0, 500)
    process = node(tmp_path, each)
    wait_for(lambda: began(tmp_path))
    remote.ask_to_stop(manifest(tmp_path, each), each, at_once=False)
    assert process.wait(30) == STOPPED
    assert worker.status_of(tmp_path / each.folder) == "interrupted"
    assert call(tmp_path, each)() == STOPPED  # asked still: it does not begin
    assert [e["what"] for e in events(tmp_path)] == ["begin", "end"]
    remote.forget(manifest(tmp_path, each), each)
    assert remote.place_of(manifest(tmp_path, each), each) == ""


def test_it_is_killed_when_it_is_asked_to(tmp_path: Path) -> None:
    each = job(0, 500, "saves=100")
    process = node(tmp_path, each)
    wait_for(lambda: began(tmp_path))
    remote.ask_to_stop(manifest(tmp_path, each), each, at_once=True)
    assert process.wait(30) == 256 - signal.SIGKILL


def test_a_run_whose_node_process_is_killed_saves_once_and_frees_its_claim(tmp_path: Path) -> None:
    each = job(0, 500, "saves=1")
    process = node(tmp_path, each)
    wait_for(lambda: began(tmp_path))
    process.kill()
    process.wait()
    assert orphan(manifest(tmp_path, each), each)  # it saves: nobody else may begin
    wait_for(lambda: orphan(manifest(tmp_path, each), each) is None)
    assert [e["signals"] for e in events(tmp_path)] == [[], [signal.SIGINT]]
    assert worker.status_of(tmp_path / each.folder) == "interrupted"
    wait_for(lambda: not processes("guard", str(tmp_path)))


def test_the_clusters_warning_does_not_reach_the_run(tmp_path: Path) -> None:
    """SLURM sends SIGUSR2 to all processes of a job, whose answer to it by default is to die."""
    each = job(0, 60)
    process = node(tmp_path, each)
    wait_for(lambda: began(tmp_path))
    os.kill(events(tmp_path)[0]["pid"], signal.SIGUSR2)
    assert process.wait(30) == 0
    check_whole(tmp_path, [each])


def test_signals_that_were_blocked_here_reach_the_run(tmp_path: Path) -> None:
    each = job(0, 500)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray does in its workers
    try:
        process = node(tmp_path, each)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    wait_for(lambda: began(tmp_path))
    remote.ask_to_stop(manifest(tmp_path, each), each, at_once=False)
    assert process.wait(30) == STOPPED
