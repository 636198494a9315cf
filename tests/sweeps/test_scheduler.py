"""Jobs on devices: each device serves one at a time, no kill loses or doubles anything."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from toonlab.errors import UsageError
from toonlab.sweeps import sweep
from toonlab.sweeps.engine import Running
from toonlab.sweeps.leases import lock
from toonlab.sweeps.local import Local
from toonlab.sweeps.manifest import Job, Manifest, load
from toonlab.sweeps.worker import settle

HERE = Path(__file__).parent
SCRIPT = HERE / "pretend_train.py"


def job(number: int, iterations: int, *more: str, devices: int = 1) -> Job:
    overrides = [f"seed={number}", f"iterations={iterations}", *more]
    return Job(f"id{number}", number, overrides, overrides, f"{number}_x", iterations, devices)


def run(tmp_path: Path, jobs: Sequence[Job], *, slots: int = 1, resume: bool = False, **more: Any) -> None:
    devices = more.pop("devices", ["a", "b"])
    sweep.run(
        tmp_path / "sweep",
        ["seed=0,1"],
        jobs,
        {each.id: {"seed": each.number} for each in jobs},
        engine=Local(
            devices, slots=slots, environment={}, script=SCRIPT, extra=[], leases=tmp_path / "leases"
        ),
        stop_on_error=more.pop("stop_on_error", False),
        report=None,
        resume=resume,
    )


@pytest.fixture(autouse=True)
def fake_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOONLAB_FAKE_DEVICES", "a,b")


def events(tmp_path: Path) -> list[dict[str, Any]]:
    files = (tmp_path / "sweep").glob("*_x/events.jsonl")
    return [json.loads(line) | {"job": f.parent.name} for f in files for line in f.read_text().splitlines()]


def weights(tmp_path: Path, each: Job) -> str:
    found: str = json.loads((tmp_path / "sweep" / each.folder / "result.json").read_text())["weights"]
    return found


def undisturbed(each: Job) -> str:
    value = str(each.number)
    for _ in range(each.iterations):
        value = hashlib.sha256(value.encode()).hexdigest()
    return value


def check_devices(tmp_path: Path) -> None:
    """No device served two jobs at once: of those that were not killed, by their own clocks."""
    for device in ("a", "b"):
        here = sorted((e for e in events(tmp_path) if e["device"] == device), key=lambda e: e["time"])
        for one, other in pairwise(here):
            assert (one["what"], other["what"]) != ("begin", "begin") or one["pid"] == other["pid"]


def test_eight_jobs_on_two_devices_take_turns_and_little_longer_than_they_must(tmp_path: Path) -> None:
    lengths = [10, 40, 20, 5, 60, 25, 15, 45]
    jobs = [job(i, n) for i, n in enumerate(lengths)]
    begun = time.time()
    run(tmp_path, jobs)
    check_devices(tmp_path)
    seen = events(tmp_path)
    assert len(seen) == 16
    assert {e["device"] for e in seen} == {"a", "b"}
    assert [weights(tmp_path, each) for each in jobs] == [undisturbed(each) for each in jobs]
    # In iterations, not seconds: what the busier device did, against half of all.
    load_of = dict.fromkeys("ab", 0)
    for event in seen:
        if event["what"] == "end":
            load_of[event["device"]] += event["iteration"]
    assert sum(load_of.values()) == sum(lengths)
    assert max(load_of.values()) <= 1.1 * sum(lengths) / 2
    assert time.time() - begun < 60  # of 2.2 s of work: it came to an end at all


def test_what_fails_stops_nobody_and_is_retried(tmp_path: Path) -> None:
    jobs = [job(0, 20), job(1, 20, "fail_at=7"), job(2, 20)]
    with pytest.raises(UsageError, match="1 of 3 jobs did not finish"):
        run(tmp_path, jobs)
    kept = load(tmp_path / "sweep")
    assert [each.state for each in kept.jobs] == ["finished", "failed", "finished"]
    assert kept.jobs[1].reason == "method.lr: too bold (exit 2)"
    before = len(events(tmp_path))
    run(tmp_path, jobs, resume=True)
    again = events(tmp_path)[:]
    assert len(again) == before + 2  # that job alone
    assert [e["iteration"] for e in again if e["job"] == "1_x" and e["what"] == "begin"] == [0, 5]
    assert weights(tmp_path, jobs[1]) == undisturbed(jobs[1])
    run(tmp_path, jobs, resume=True)  # nothing left
    assert len(events(tmp_path)) == len(again)


def test_what_is_said_to_be_finished_and_is_not_is_done_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [job(0, 10), job(1, 10), job(2, 10)]
    run(tmp_path, jobs)
    shutil.rmtree(tmp_path / "sweep" / "1_x")
    before = len(events(tmp_path))
    run(tmp_path, jobs, resume=True)
    assert "1_x: was finished, but its result.json does not say so" in caplog.text
    assert weights(tmp_path, jobs[1]) == undisturbed(jobs[1])
    assert len(events(tmp_path)) == before + 2


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        (None, 130, "interrupted"),  # before there was anything to say
        (None, -2, "interrupted"),  # before there was anybody to say it
        ("interrupted", 143, "interrupted"),
        ("interrupted", None, "interrupted"),
        ("failed", 130, "interrupted"),  # what an earlier attempt said
        (None, None, "failed"),
        ("interrupted", 1, "failed"),
        ("finished", 1, "failed"),
        ("finished", 0, "finished"),
        (None, -9, "failed"),
    ],
)
def test_how_a_job_ended(tmp_path: Path, status: str | None, code: int | None, state: str) -> None:
    each = job(0, 10)
    manifest = Manifest(tmp_path, [], [each], {})
    folder = manifest.job_folder(each)
    folder.mkdir()
    if status:
        (folder / "result.json").write_text(json.dumps({"status": status}))
    ended = SimpleNamespace(
        job=each, begun=time.time(), code=lambda: code, reason=lambda: "", release=lambda: None
    )
    settle(manifest, cast("Running", ended))
    assert each.state == state


def test_asked_to_the_others_save_and_stop(tmp_path: Path) -> None:
    jobs = [job(0, 5, "fail_at=5"), job(1, 400, "pause=0.01"), job(2, 3)]
    with pytest.raises(UsageError, match="did not finish"):
        run(tmp_path, jobs, stop_on_error=True)
    states = {each.number: each.state for each in load(tmp_path / "sweep").jobs}
    assert states[0] == "failed"
    assert states[1] == "interrupted"
    run(tmp_path, jobs, resume=True)
    assert weights(tmp_path, jobs[1]) == undisturbed(jobs[1])


def test_a_job_of_two_devices_has_both(tmp_path: Path) -> None:
    run(tmp_path, [job(0, 10, devices=2), job(1, 10), job(2, 10)])
    both = [e for e in events(tmp_path) if e["device"] == "a,b"]
    assert [e["what"] for e in both] == ["begin", "end"]
    begin, end = (e["time"] for e in both)
    assert not [e for e in events(tmp_path) if e["device"] != "a,b" and begin < e["time"] < end]


def test_jobs_of_one_device_do_not_wait_for_one_that_needs_two(tmp_path: Path) -> None:
    """Another sweep's job has a device until ours of one device are done with the other."""
    held = lock(tmp_path / "leases" / "a")
    assert held is not None
    last = tmp_path / "sweep" / "2_x" / "result.json"
    code = f"import os, time\nfor _ in range(400): os.path.exists({str(last)!r}) or time.sleep(0.05)"
    other = subprocess.Popen([sys.executable, "-c", code], pass_fds=[held])
    os.close(held)
    run(tmp_path, [job(0, 30, devices=2), job(1, 10), job(2, 5)])
    assert other.wait(1) == 0
    order = [(e["job"], e["device"]) for e in sorted(events(tmp_path), key=lambda e: e["time"])]
    assert order == [("1_x", "b")] * 2 + [("2_x", "b")] * 2 + [("0_x", "a,b")] * 2


def test_jobs_may_share_a_device_and_the_processor(tmp_path: Path) -> None:
    jobs = [job(i, 20) for i in range(4)]
    run(tmp_path, jobs, slots=2, devices=["a"])
    order = [e["what"] for e in sorted(events(tmp_path), key=lambda e: e["time"])]
    assert order[:2] == ["begin", "begin"]
    assert max(sum(1 if w == "begin" else -1 for w in order[:i]) for i in range(9)) == 2


def test_a_sweep_is_not_begun_twice_nor_resumed_as_another(tmp_path: Path) -> None:
    jobs = [job(0, 2)]
    run(tmp_path, jobs)
    with pytest.raises(UsageError, match="holds a sweep already; go on with -m resume="):
        run(tmp_path, jobs)
    changed = job(0, 2)
    changed.id = "other"
    with pytest.raises(UsageError, match="another one than the one begun there"):
        run(tmp_path, [changed], resume=True)
    with pytest.raises(UsageError, match=r"no sweep\.json there"):
        run(tmp_path / "nowhere", jobs, resume=True)


PARENT = """
import sys, json
from pathlib import Path
sys.path[:0] = [{here!r}, {src!r}]
from test_scheduler import job, run
jobs = {jobs}
folder = Path({folder!r})
run(folder, jobs, resume=(folder / "sweep" / "sweep.json").exists())
"""


SIX = '[job(i, 40 + 10 * i, "pause=0.01") for i in range(6)]'


@pytest.fixture
def parent(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    def start(jobs: str = SIX) -> subprocess.Popen[bytes]:
        src = str(HERE.parents[1] / "src")
        code = PARENT.format(here=str(HERE), src=src, folder=str(tmp_path), jobs=jobs)
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)

    return start


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path, parent: Callable[[], Any]) -> None:
    """Parents, children and both die by `kill -9` at random; every job ends as if nothing had happened."""
    rng = random.Random(0)
    for kill in range(20):
        process = parent()
        time.sleep(rng.uniform(0.25, 0.8))
        children = _children(tmp_path)
        victims = [[process.pid], children[:1], [process.pid, *children]][kill % 3]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if process.pid in victims:
            process.wait()
        else:  # the sweep itself goes on; the next one would be refused
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    for _ in range(3):  # a child that was killed last is a failed job, to be tried again
        process = parent()
        process.communicate(timeout=60)
        if process.returncode == 0:
            break
    assert process.returncode == 0
    jobs = load(tmp_path / "sweep").jobs
    assert [each.state for each in jobs] == ["finished"] * 6
    assert [weights(tmp_path, each) for each in jobs] == [undisturbed(each) for each in jobs]
    seen = events(tmp_path)
    for each in jobs:  # whoever began did so where the last save was, and only one ended
        own = [e for e in seen if e["job"] == each.folder]
        assert sum(e["what"] == "end" for e in own) == 1
        begun = [e["iteration"] for e in own if e["what"] == "begin"]
        assert begun == sorted(begun)


def test_what_outlives_its_sweep_and_then_dies_is_done_here(tmp_path: Path) -> None:
    """As the workers of a killed run do, which hold its lock a while longer."""
    (tmp_path / "sweep" / ".locks").mkdir(parents=True)
    held = lock(tmp_path / "sweep" / ".locks" / "id0")
    assert held is not None
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"], pass_fds=[held])
    os.close(held)
    jobs = [job(0, 10), job(1, 10)]
    run(tmp_path, jobs)
    assert orphan.wait(1) == 0  # it was waited for
    assert [each.state for each in load(tmp_path / "sweep").jobs] == ["finished"] * 2
    assert weights(tmp_path, jobs[0]) == undisturbed(jobs[0])


def test_two_parents_do_not_share_a_sweep(tmp_path: Path, parent: Callable[[], Any]) -> None:
    first = parent()
    while not (tmp_path / "sweep" / "sweep.json").exists():
        time.sleep(0.02)
    second = parent()
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert b"another process is at work on this sweep" in said
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert len(events(tmp_path)) == 12


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
def test_a_signal_lets_jobs_save(
    tmp_path: Path, parent: Callable[[], Any], number: signal.Signals, code: int
) -> None:
    """The command line turns the KeyboardInterrupt of Ctrl-C, by which Python ends as -2, into 130."""
    process = parent()
    while len(_children(tmp_path)) < 2:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (b"KeyboardInterrupt" in said) == (number == signal.SIGINT)
    assert process.returncode == code
    states = sorted(each.state for each in load(tmp_path / "sweep").jobs)
    assert states == ["interrupted"] * 2 + ["pending"] * 4
    assert not _children(tmp_path)


def test_ctrl_c_does_not_wait_for_what_an_earlier_sweep_left_at_work(
    tmp_path: Path, parent: Callable[..., Any]
) -> None:
    one = "[job(0, 40)]"
    first = parent(one)
    while not events(tmp_path):
        time.sleep(0.02)
    (orphan,) = _children(tmp_path)
    os.kill(orphan, signal.SIGSTOP)  # it works for as long as this takes
    first.kill()
    first.wait()
    second = parent(one)
    while not _hears(second.pid, signal.SIGHUP):  # it is at it
        assert second.poll() is None, second.communicate()[1].decode()
        time.sleep(0.02)
    second.send_signal(signal.SIGINT)
    _, said = second.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    assert _children(tmp_path) == [orphan]
    os.kill(orphan, signal.SIGCONT)
    last = parent(one)
    _, said = last.communicate(timeout=60)
    assert last.returncode == 0, said.decode()
    (each,) = load(tmp_path / "sweep").jobs
    assert (each.state, each.attempts) == ("finished", 1)
    assert [e["what"] for e in events(tmp_path)] == ["begin", "end"]
    assert weights(tmp_path, each) == undisturbed(each)


def test_a_full_disk_costs_a_line_not_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        if (tmp_path / "sweep" / "sweep.json").exists():
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    jobs = [job(0, 5), job(1, 5)]
    run(tmp_path, jobs)
    assert "cannot be written (No space left on device)" in caplog.text
    monkeypatch.setattr(os, "fsync", real)
    before = len(events(tmp_path))
    run(tmp_path, jobs, resume=True)  # the runs themselves say that they are done
    assert len(events(tmp_path)) == before
    assert [each.state for each in load(tmp_path / "sweep").jobs] == ["finished"] * 2


def _hears(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path("/proc", str(pid), "status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def _children(tmp_path: Path) -> list[int]:
    """Jobs of this test that live, whoever their parent is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if SCRIPT.name.encode() in words and f"{tmp_path}/".encode() in words:
            found.append(int(path.parent.name))
    return found
