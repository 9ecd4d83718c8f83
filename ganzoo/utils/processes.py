"""The processes of one run: they end together, and one of them says why."""

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
PATIENCE = 4.0  # seconds that processes have to end by themselves; Lightning looks after them each 5 seconds


def launched_by() -> int | None:
    """The number of the first process, if this is another that Lightning has launched; None in the first."""
    main = os.environ.get(MAIN, "")
    launched = main.isdecimal() and int(main) != os.getpid() and os.environ.get("LOCAL_RANK", "0") != "0"
    return int(main) if launched else None


@contextmanager
def together() -> Iterator[None]:
    """Inside the block a launched process ends when the first one does, however that ended, and SIGTERM means exit 143.

    Once a training has begun it takes the signals over.
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
    """What SIGTERM does before there is anything to save.

    The first process leaves with 128 and the signal's number. A launched one pays no attention, because it ends with the
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
    """Ends the processes that a launcher has launched; the exit code of one that had failed by itself, else None.

    Args:
        launcher: Lightning's, or None.
        patience: seconds to wait for them to end by themselves.
    """
    launched: list[subprocess.Popen[bytes]] = list(getattr(launcher, "procs", []))
    give_up = time.monotonic() + patience
    while any(each.poll() is None for each in launched) and time.monotonic() < give_up:
        time.sleep(0.05)
    failed = next((each.returncode for each in launched if each.returncode), None)
    if launched:
        # the thread that looks after them would kill this process because of those that end here
        launcher.procs.clear()
    for each in launched:
        with suppress(OSError):
            each.kill()
        each.wait()
    return failed


def wait_for_the_first() -> None:
    """Gives the first process time to say what is wrong, which ends this one; returns where it has nothing to say."""
    if launched_by() is not None:
        sys.stderr.flush()
        time.sleep(PATIENCE / 2)
