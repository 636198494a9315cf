"""Eight jobs of different lengths on two devices: how far from the optimum, and what a launcher costs a job.

    python benchmarks/sweeps.py [--work sleep train] [--launchers gpus basic joblib] [--scale 1]

The same sweep goes through our launcher, Hydra's own (one after another in one process) and, if it is
installed, hydra-joblib-launcher with two processes. Every job notes when its process was made, when its first
iteration began, when its last one ended and when it left. Durations differ from run to run (two trainings
share a memory bus), so the optimum is that of the very run: the best way to share its own durations between
two devices, found by trying all 128.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
LENGTHS = [10, 40, 20, 5, 60, 25, 15, 45]
WORDS = {
    "gpus": ["hydra/launcher=gpus", "hydra.launcher.report=false"],
    "basic": ["hydra/launcher=basic"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
}
SLEEP = [str(PROJECT / "benchmarks" / "sweep_jobs.py"), f"hydra.searchpath=[file://{PROJECT}/conf]"]
TRAIN = [
    str(PROJECT / "src" / "train.py"),
    *("method=whitebox", "data=synthetic", "data.count=4", "structure.segments=16", "eval_every=100000"),
    *(f"method.{network}.width=4" for network in ("generator", "d_surface", "d_texture")),
    "+callbacks.clock._target_=sweep_jobs.clock",
]


class Job(NamedTuple):
    """When a job's process was made, its work began and ended, and its process left; and where that was."""

    lane: str
    started: float
    begin: float
    end: float
    exit: float


def measure(launcher: str, words: list[str], lengths: list[int]) -> tuple[list[Job], float, float]:
    """Return the jobs, and when the command was started and was over."""
    with tempfile.TemporaryDirectory() as folder:
        clocks = Path(folder, "clocks")
        clocks.mkdir()
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "TOONLAB_FAKE_DEVICES": "a,b",
            "TOONLAB_CLOCKS": str(clocks),
            "TMPDIR": folder,  # leases of its own
            "PYTHONPATH": os.pathsep.join([str(PROJECT / "benchmarks"), os.environ.get("PYTHONPATH", "")]),
        }
        swept = f"iterations={','.join(map(str, lengths))}"
        more = [swept, *WORDS[launcher], f"hydra.sweep.dir={folder}/sweep", "-m"]
        before = time.time()
        left: dict[int, float] = {}
        with Path(folder, "said").open("w+") as said:
            command = [sys.executable, *words, *more]
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=folder)
            while process.poll() is None:
                see_off(clocks, left)
                time.sleep(0.02)
            after = time.time()
            see_off(clocks, left)
            said.seek(0)
            lines = [json.loads(line) for file in clocks.iterdir() for line in file.read_text().splitlines()]
            notes = {(line["what"], line["job"]): line for line in lines}
            if process.returncode or len(notes) != 2 * len(lengths):
                raise RuntimeError(f"{launcher}: {said.read().strip()[-600:]}")
    jobs = []
    for number in range(len(lengths)):
        begin, end = notes["begin", number], notes["end", number]
        lane = begin["device"] or str(begin["pid"])
        jobs.append(Job(lane, begin["started"], begin["time"], end["time"], left.get(begin["pid"], after)))
    return jobs, before, after


def see_off(clocks: Path, left: dict[int, float]) -> None:
    """Note when processes that did a job are gone, or only wait for their parent to look."""
    for pid in {int(file.stem) for file in clocks.iterdir()} - left.keys():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "gone"
        if state in ("gone", "Z", "X"):
            left[pid] = time.time()


def optimum(durations: list[float]) -> float:
    """Return the shortest time in which two devices can do jobs of these durations."""
    first, *others = durations
    whole = sum(durations)
    shares = itertools.product((0, 1), repeat=len(others))
    loads = [first + sum(d for d, mine in zip(others, share, strict=True) if mine) for share in shares]
    return min(max(load, whole - load) for load in loads)


def row(launcher: str, jobs: list[Job], before: float, after: float) -> str:
    """Return a line of the table."""
    own = launcher == "gpus"  # a process for each job; else a job is what it does in another's
    spans = [(j.started, j.exit) if own else (j.begin, j.end) for j in jobs]
    makespan = max(end for _, end in spans) - min(begin for begin, _ in spans)
    ratio = makespan / optimum([end - begin for begin, end in spans])
    turns, launching = [], []
    for lane in {j.lane for j in jobs}:
        for one, other in itertools.pairwise(
            sorted((j for j in jobs if j.lane == lane), key=lambda j: j.begin)
        ):
            turns.append(other.begin - one.end)
            launching.append(other.started - one.exit)
    work = sum(j.end - j.begin for j in jobs)
    workers = 1 if launcher == "basic" else 2
    cells = [
        launcher,
        f"{after - before:.1f}",
        f"{work:.1f}",
        f"{ratio:.3f}",
        f"{(workers * (after - before) - work) / len(jobs):.2f}",
        f"{statistics.median(turns):.2f}",
        f"{statistics.median(launching):.2f} (at most {max(launching):.2f})" if own else "",
        f"{statistics.median(j.begin - j.started for j in jobs):.2f}" if own else "",
        f"{min(j.started for j in jobs) - before:.2f}"
        if own
        else f"{min(j.begin for j in jobs) - before:.2f}",
        f"{after - max(j.exit for j in jobs):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", nargs="+", choices=("sleep", "train"), default=["sleep", "train"])
    parser.add_argument("--launchers", nargs="+", choices=WORDS, default=list(WORDS))
    parser.add_argument("--scale", type=int, default=1, help="of the trainings' lengths, 5 to 60 iterations")
    options = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("hydra-core", "torch", "lightning"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {packages}")
    columns = (
        *("launcher", "command, s", "work, s", "makespan / optimum", "overhead a job, s"),
        *("end to next begin, s", "of that the launcher", "process to first iteration, s"),
        *("before the first, s", "after the last, s"),
    )
    for work in options.work:
        lengths = [length * (options.scale if work == "train" else 1) for length in LENGTHS]
        print(f"\n{work}: {lengths}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
        for launcher in options.launchers:
            if launcher == "joblib" and not importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher"):
                print("| joblib | not installed: hydra-joblib-launcher |")
                continue
            try:
                print(
                    row(launcher, *measure(launcher, SLEEP if work == "sleep" else TRAIN, lengths)),
                    flush=True,
                )
            except RuntimeError as error:
                print(f"| {error} |", flush=True)


if __name__ == "__main__":
    main()
