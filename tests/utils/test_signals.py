"""A signal ends a computation, but waits while a file is written."""

import os
import signal

import pytest

from ganzoo.utils.signals import Stopped, Stops


def test_a_signal_waits_while_a_batch_is_counted():
    seen = []

    def work(stops: Stops) -> None:
        with stops.defer_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append("to the end")
        seen.append("never")

    with Stops() as stops, pytest.raises(Stopped) as stopped:
        work(stops)
    assert seen == ["to the end"]
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
