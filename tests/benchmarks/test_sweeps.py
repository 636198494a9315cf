"""The figures of benchmarks/sweeps.py, on jobs whose times are known."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from sweeps import Job, optimum, row


def test_the_optimum_is_the_best_of_all_shares() -> None:
    assert optimum([3, 3, 2, 2, 2]) == 6  # longest first would need 7
    assert optimum([10, 1, 1]) == 10


def test_a_row_counts_from_the_commands_begin_to_its_end() -> None:
    jobs = [  # two devices, a second to start each process, half a one to leave
        Job("a", started=10, begin=11, end=15, exit=15.5),
        Job("a", started=15.7, begin=16.7, end=18.7, exit=19.2),
        Job("b", started=10, begin=11, end=14, exit=14.5),
    ]
    cells = [cell.strip() for cell in row("gpus", jobs, 8, 20).strip("|").split("|")]
    assert cells[:3] == ["gpus", "12.0", "9.0"]
    assert cells[3] == "1.150"  # 9.2 s, of jobs that took 5.5 on one, 3.5 and 4.5 on the other device: 8
    assert cells[4] == "5.00"  # two devices for 12 s, 9 of work, three jobs
    assert cells[5:] == ["1.70", "0.20 (at most 0.20)", "1.00", "2.00", "0.80"]


def test_jobs_in_one_process_are_what_they_do_there() -> None:
    jobs = [Job("7", 1, 2, 4, 4), Job("7", 1, 5, 9, 9)]
    cells = [cell.strip() for cell in row("basic", jobs, 0, 10).strip("|").split("|")]
    assert cells == ["basic", "10.0", "6.0", "1.750", "2.00", "1.00", "", "", "2.00", "1.00"]
