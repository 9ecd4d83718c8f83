"""Stops a training between two steps on SIGTERM or Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.seed import pl_worker_init_function
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from ganzoo.errors import InputError
from ganzoo.utils.processes import PATIENCE, end_launched, until_it_trains


class StopOnSignal(L.Callback):
    """Ends a training at the end of the current step on SIGTERM (a cluster's pre-emption) or Ctrl-C.

    Lightning lets Ctrl-C interrupt anywhere, also between two players' steps, where no run resumes exactly, and on a
    signal it communicates between processes at any point. Here a signal is only stored. At the end of a step the
    processes exchange whether one of them has got it, and all stop at the same step. In a single process a validation
    stops too, at the end of its batch. A second Ctrl-C stops at once.

    Data workers ignore these signals, which schedulers and terminals send to all processes: if the workers died first, the
    training could not finish its step.

    Attributes:
        signum: the signal that was received; SIGTERM before any.
    """

    def __init__(self) -> None:
        self.signum: int = signal.SIGTERM
        self._asked = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Makes data workers ignore signals, and lets a signal end the process at once until training starts."""
        self._asked = False
        # replaces Lightning's handler, which communicates with the other processes at any point
        trainer._signal_connector._sigterm_notifier_fn = until_it_trains()  # type: ignore[assignment, method-assign]
        given = trainer.strategy.process_dataloader
        if not (isinstance(given, partial) and given.func is _shielded):
            shielded = partial(_shielded, given, trainer.global_rank)
            trainer.strategy.process_dataloader = shielded  # type: ignore[method-assign]

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the other processes if this one fails, before they print long errors about it.

        If it fails because another process is gone, the error names that process's exit code.
        """
        if not trainer.is_global_zero or isinstance(exception, SIGTERMException | KeyboardInterrupt):
            return
        own = isinstance(exception, InputError | SystemExit)
        failed = end_launched(trainer.strategy.launcher, 0 if own else PATIENCE)
        if failed is not None and not own:
            raise InputError(f"another process of this run has failed, with exit code {failed}") from exception

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Installs the signal handlers; Lightning restores the old ones at the end."""
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, partial(self._note, trainer))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stops all processes if one of them has received a signal."""
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            _stop(trainer)

    def _note(self, trainer: L.Trainer, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT:
            if self._asked:
                raise KeyboardInterrupt
            if trainer.is_global_zero:  # not print, which may be in the middle of a line
                os.write(2, b"\nganzoo: stopping at the end of this step; Ctrl-C again stops at once\n")
        self.signum, self._asked = signum, True
        if trainer.world_size == 1:
            _stop(trainer)


def _stop(trainer: L.Trainer) -> None:
    # Lightning reads this at the end of each step and each validation batch, and has no public way to set it: an error
    # raised in a callback would come before the step is counted and before the other callbacks
    trainer._signal_connector.received_sigterm = True


def _shielded(process: Callable[[object], object], rank: int, loader: object) -> object:
    loader = process(loader)
    if isinstance(loader, DataLoader) and loader.num_workers > 0:
        first = loader.worker_init_fn
        if first is None and int(os.environ.get("PL_SEED_WORKERS", 0)):
            first = partial(pl_worker_init_function, rank=rank)  # Lightning's own, which it gives only where there is none
        loader.worker_init_fn = partial(_ignore_signals, first)
    return loader


def _ignore_signals(first: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere nobody can tell who sends a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, daemon=True).start()
    if first is not None:
        first(worker)


def _obey_parent() -> None:
    # the parent ends its workers with SIGTERM, and waits for them
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
