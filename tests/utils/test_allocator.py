"""Freed memory is kept: pages are cleared once, not in each step."""

import os
import subprocess
import sys

import pytest

from ganzoo.utils.allocator import OWN, keep_freed_memory

# 40 times an array of 50 MB, filled and freed: 12,207 pages each
FAULTS = """
import resource, sys
import numpy as np
from ganzoo.utils.allocator import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "keep" else False
np.ones(50_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    np.ones(50_000_000, np.uint8)
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> tuple[int, int]:
    own = {name: value for name, value in os.environ.items() if name not in OWN}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=own | environment, capture_output=True, text=True, check=True
    )
    told, count = done.stdout.split()
    return int(told), int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_is_mapped_once():
    told, kept = faults("keep")
    if not told:
        pytest.skip("another C library")
    assert kept < 0.1 * faults("plain")[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_users_own_settings_win():
    assert faults("keep", MALLOC_TOP_PAD_="0")[0] == 0


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
