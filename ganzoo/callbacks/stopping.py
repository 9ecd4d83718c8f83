"""A training that is asked to stop ends between two steps."""

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
    """Ends a training at the end of its step when SIGTERM arrives (a cluster's pre-emption), or Ctrl-C.

    Lightning would let Ctrl-C in anywhere, also between two players' steps, where no run can go on exactly, and answers
    a signal with a collective of its own wherever the process happens to be. Here a signal is only noted; at the end of
    a step the processes agree that one of them has got it, and all stop at the same step. In one process a validation
    is left as well, at the end of its batch. A second Ctrl-C stops at once.

    Workers that load data pay no attention to these signals, which schedulers and terminals send to all processes
    alike: a training whose workers died first could not finish its step.

    Attributes:
        signum: the signal that came; SIGTERM while there was none.
    """

    def __init__(self) -> None:
        self.signum: int = signal.SIGTERM
        self._asked = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Has the workers of all loaders started with signals ignored, and the process end at once until it trains."""
        self._asked = False
        # Lightning's, which talks to the other processes in the middle of whatever they do
        trainer._signal_connector._sigterm_notifier_fn = until_it_trains()  # type: ignore[assignment, method-assign]
        given = trainer.strategy.process_dataloader
        if not (isinstance(given, partial) and given.func is _shielded):
            shielded = partial(_shielded, given, trainer.global_rank)
            trainer.strategy.process_dataloader = shielded  # type: ignore[method-assign]

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the other processes where this one fails, before they notice that it is gone and say so at length.

        Where it fails because another is gone, that one has the reason.
        """
        if not trainer.is_global_zero or isinstance(exception, SIGTERMException | KeyboardInterrupt):
            return
        own = isinstance(exception, InputError | SystemExit)
        failed = end_launched(trainer.strategy.launcher, 0 if own else PATIENCE)
        if failed is not None and not own:
            raise InputError(f"another process of this run has failed, with exit code {failed}") from exception

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the signals over; Lightning gives them back when the trainer is done."""
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, partial(self._note, trainer))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Asks whether any process is to stop."""
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
    # what Lightning asks at the end of each step and of each validation batch, and has no public way to set: an error
    # raised in a callback would come before the step's count and the other callbacks
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
    # which ends its workers with SIGTERM, and waits for them
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
