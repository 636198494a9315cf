"""Starting, watching and ending the other processes of a run, with processes that do nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments import LightningEnvironment

from toonlab.engine.processes import PARENT, Processes
from toonlab.errors import UsageError
from toonlab.sweeps.leases import lock


def processes(code: str, count: int = 2) -> Processes:
    return Processes(LightningEnvironment(), count, 1, command=[sys.executable, "-c", code])


def test_each_other_process_knows_its_number_and_its_parent(tmp_path: Path) -> None:
    keys = ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", PARENT)
    code = (
        f"import os, pathlib; text = ' '.join(os.environ[k] for k in {keys}); "
        f"pathlib.Path({str(tmp_path)!r}, os.environ['LOCAL_RANK']).write_text(text)"
    )
    before = dict(os.environ)
    assert processes(code, count=3).launch(lambda x: 2 * x, 21) == 42
    for rank in ("1", "2"):
        assert (tmp_path / rank).read_text() == f"{rank} 3 0 {os.getpid()}"  # launch waits for them
    changed = {key for key in before.keys() | os.environ.keys() if before.get(key) != os.environ.get(key)}
    assert changed <= {"OMP_NUM_THREADS"}  # else the next run would take itself for a rank


def test_a_lost_connection_becomes_a_line_that_names_the_process() -> None:
    def collective() -> None:
        time.sleep(0.1)
        raise RuntimeError("Connection closed by peer")

    with pytest.raises(UsageError, match="process 1 of 2 failed with exit code 3, and so all end"):
        processes("raise SystemExit(3)").launch(collective)
    with pytest.raises(UsageError, match="process 1 of 2 was ended by signal 9"):
        processes("import os; os.kill(os.getpid(), 9)").launch(collective)


def test_an_error_of_the_first_process_ends_the_others_and_stays_what_it_is() -> None:
    launcher = processes("import time; time.sleep(600)", count=3)

    def fail() -> None:
        raise UsageError("lower the learning rate")

    with pytest.raises(UsageError, match=r"^lower the learning rate$"):
        launcher.launch(fail)
    assert [process.returncode for process in launcher.procs] == [-9, -9]


def test_each_other_process_holds_what_a_sweep_leased_for_the_first(tmp_path: Path) -> None:
    held = lock(tmp_path / "GPU-0")
    assert held is not None
    os.set_inheritable(held, True)  # as the file of a lease is in a job
    launcher = processes("import time; time.sleep(600)", count=3)
    launcher._call_children_scripts()
    os.close(held)  # rank 0 is gone
    for process in launcher.procs:
        assert lock(tmp_path / "GPU-0") is None
        process.kill()
        process.wait()
    assert lock(tmp_path / "GPU-0") is not None


DEAF = """
import sys, time
from lightning.fabric.plugins.environments import LightningEnvironment
import toonlab.engine.processes as module
module._GRACE = 0.5
other = [sys.executable, "-c", "raise SystemExit({code})"]
module.Processes(LightningEnvironment(), 2, 1, command=other).launch(time.sleep, 100)
"""


@pytest.mark.parametrize(("code", "ends"), [(3, 2), pytest.param(130, 130, marks=pytest.mark.slow)])
def test_a_first_process_that_hears_nothing_is_ended_too(code: int, ends: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAF.format(code=code)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == ends
    assert f"error: process 1 of 2 failed with exit code {code}" in done.stderr
