"""Freed memory is kept: the second time round no page is cleared anew."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from allsight.machine.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(40_000_000 // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
first = faults()
kept = keep_freed_memory()
faults()
print(first, int(kept), faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has mallopt")
def test_pages_are_cleared_once_only() -> None:
    first, kept, then = map(int, subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).split())
    if not kept:
        pytest.skip("another C library")
    assert then < first / 10
