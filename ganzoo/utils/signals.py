"""Makes SIGTERM stop a long computation as Ctrl-C does, except while a file is being written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class Stopped(KeyboardInterrupt):
    """Raised when a signal stops a computation. ``signum`` is its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Stops:
    """Context manager: SIGTERM and Ctrl-C raise :class:`Stopped` at once, but not within :meth:`defer_signals`."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._holding = False
        self._waiting: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._note) for signum in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    @contextmanager
    def defer_signals(self) -> Iterator[None]:
        """Context manager: a signal that comes inside the block raises at its end."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._waiting is not None:
            signum, self._waiting = self._waiting, None
            raise Stopped(signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if not self._holding:
            raise Stopped(signum)
        self._waiting = signum
