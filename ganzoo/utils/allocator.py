"""Keeps freed memory in the process, so that a step does not map and clear its large tensors anew. Imports no torch."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
GROWTH = 64 * 2**20  # bytes by which the heap grows
OWN = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Tells glibc's allocator to keep freed memory for the next allocation. No value that is computed changes.

    By default each tensor above 32 MiB, and often a smaller one, is mapped from the system and given back at its end, and
    each of its pages is cleared at its first use. Kept memory is the process's own until it ends; the peak is the same.

    Returns:
        Whether it was told. Not on other systems and C libraries, and not where the user has set the allocator himself
        (``GLIBC_TUNABLES``, ``MALLOC_...`` in the environment).
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, GROWTH)])
