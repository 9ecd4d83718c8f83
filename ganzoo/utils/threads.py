"""Keeps waiting threads from burning a core that other work needs. Imports no torch."""

import os

SPINS = 10_000  # rounds of a waiting loop, about half a millisecond
OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_briefly() -> bool:
    """Tells OpenMP's threads to sleep after half a millisecond of waiting. No value that is computed changes.

    By default a thread of libgomp that waits for the others spins for several milliseconds. Where other work takes a core,
    the thread that is waited for gets none, and a step on two threads takes five to thirteen times as long. libgomp reads
    its environment when it is loaded, so this must come before torch is imported.

    Returns:
        Whether it was told. Not where the user has set it himself (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``,
        ``KMP_BLOCKTIME`` in the environment).
    """
    if any(name in os.environ for name in OWN):
        return False
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    return True
