"""Freed memory stays with the process."""

import resource
import sys

import pytest
import torch

from toonlab.app.memory import keep_freed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_was_freed_costs_no_page_faults_again() -> None:
    def faults(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            torch.zeros(2**22)  # 16 MB, 4096 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert keep_freed()
    faults(2)
    assert faults(50) < 4096  # 204,800 when each round asks the system anew
