"""Ends the processes of one run together, with one error message."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

MAIN = "GANZOO_MAIN_PROCESS"  # in the environment of launched processes: the number of the first
PATIENCE = 4.0  # seconds that processes have to end by themselves; Lightning checks them every 5 seconds


def launched_by() -> int | None:
    """The id of the first process, if Lightning has launched this one; None in the first process."""
    main = os.environ.get(MAIN, "")
    launched = main.isdecimal() and int(main) != os.getpid() and os.environ.get("LOCAL_RANK", "0") != "0"
    return int(main) if launched else None


@contextmanager
def together() -> Iterator[None]:
    """Inside the block, a launched process ends when the first one does, however that ended, and SIGTERM exits with 143.

    A training that has begun handles signals itself (``StopOnSignal``).
    """
    main = launched_by()
    if main is None:
        os.environ[MAIN] = str(os.getpid())
    else:
        threading.Thread(target=_follow, args=(main,), daemon=True).start()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, until_it_trains())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def until_it_trains() -> Callable[[int, FrameType | None], None]:
    """The signal handler for the time before there is anything to save.

    The first process exits with 128 and the signal's number. A launched one ignores the signal, because it ends with the
    first, which may be waiting for it where no signal reaches it.
    """
    return _leave if launched_by() is None else _pass


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def _pass(signum: int, frame: FrameType | None) -> None:
    return None


def _follow(main: int) -> None:
    while os.getppid() == main:
        time.sleep(0.3)
    os._exit(1)


def end_launched(launcher: Any, patience: float) -> int | None:
    """Ends the processes that Lightning has launched. Returns the exit code of one that had failed by itself, or None.

    Args:
        launcher: Lightning's launcher, or None.
        patience: seconds to wait for the processes to end by themselves.
    """
    launched: list[subprocess.Popen[bytes]] = list(getattr(launcher, "procs", []))
    give_up = time.monotonic() + patience
    while any(each.poll() is None for each in launched) and time.monotonic() < give_up:
        time.sleep(0.05)
    failed = next((each.returncode for each in launched if each.returncode), None)
    if launched:
        # the thread that watches them would kill this process because of those that end here
        launcher.procs.clear()
    for each in launched:
        with suppress(OSError):
            each.kill()
        each.wait()
    return failed


def wait_for_the_first() -> None:
    """Waits in a launched process, so that the first process can print its error and end this one."""
    if launched_by() is not None:
        sys.stderr.flush()
        time.sleep(PATIENCE / 2)
