"""Freed memory stays with the process."""

import resource
import subprocess
import sys

import pytest
import torch

from toonlab.heap import keep_freed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_was_freed_costs_no_page_faults_again() -> None:
    def faults(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            torch.zeros(2**22)  # 16 MB, 4096 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert keep_freed()
    faults(20)
    assert faults(50) < 4096  # 204,800 when each round asks the system anew


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_pictures_are_kept_until_they_are_given_back() -> None:
    """In a process of its own, as it is for good."""
    script = """
import resource, torch
from toonlab.heap import give_back, keep_freed_pictures
def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(2**24)  # 64 MB, which keep_freed leaves to the system
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
assert keep_freed_pictures()
faults(20)
assert faults(10) < 16384, "163,840 when each round asks the system anew"
held = resident()
give_back()
assert resident() < held - 50
"""
    subprocess.run([sys.executable, "-c", script], check=True)
