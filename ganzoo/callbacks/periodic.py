"""Base class of callbacks that compute and log metrics at validations, so that a checkpoint can monitor them."""

from abc import abstractmethod
from typing import Any

import lightning.pytorch as L

from ganzoo.callbacks.distributed import is_fast_dev_run, is_last, log_to_loggers, validates
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked


class PeriodicMetrics(Checked, L.Callback):
    """Computes metrics at the first and last validation of a run, and every `every_n_epochs` epochs.

    Without validations it computes at the end of epochs. It does nothing in the sanity check and with ``fast_dev_run``.

    Args:
        every_n_epochs: compute at the validation of every n-th epoch, and at the first and last; 0 for only these two.
        every_n_steps: compute also every n steps.

    Attributes:
        metrics: the newest values as Python numbers, by name with the split.
    """

    def __init__(self, every_n_epochs: int, every_n_steps: int | None = None) -> None:
        self.every_n_epochs, self.every_n_steps = every_n_epochs, every_n_steps
        self.metrics: dict[str, float] = {}
        self._measured_at: int | None = None  # a step of this run

    @abstractmethod
    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        """Computes the metrics; returns the same values on all ranks."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Resets the state of an earlier run."""
        self._measured_at = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Computes the metrics every n steps."""
        step = trainer.global_step
        # a small batch of an accumulation window is no step
        due = self.every_n_steps and step and step % self.every_n_steps == 0 and step != self._measured_at
        if due and not is_fast_dev_run(trainer):
            self._update(trainer, pl_module)
            # self.log reaches loggers only every log_every_n_steps batches: call them directly; a monitor needs self.log
            pl_module.log_dict(self.metrics, logger=False, sync_dist=trainer.world_size > 1)
            log_to_loggers(trainer, self.metrics)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes the metrics, if due."""
        if not trainer.sanity_checking and (trainer.state.fn != "fit" or self._is_due(trainer)):
            self._update_and_log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes the metrics, if due, in a training without validation."""
        if not validates(trainer) and self._is_due(trainer):
            self._update_and_log(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs a message if the training had no validation."""
        if self._measured_at is None and not is_fast_dev_run(trainer):
            log_info(f"{type(self).__name__} has measured nothing, as there was no validation in this run")

    def _is_due(self, trainer: L.Trainer) -> bool:
        # the first of a run in any case, and also of a resumed one: a monitor must be there, and be of these weights
        nth = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return self._measured_at is None or bool(nth) or is_last(trainer)

    def _update_and_log(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if is_fast_dev_run(trainer):
            return
        if trainer.state.fn != "fit" or self._measured_at != trainer.global_step:
            self._update(trainer, module)
        # every rank has the same numbers; synced all the same, as Lightning wants of what a checkpoint monitors
        module.log_dict(self.metrics, sync_dist=trainer.world_size > 1)

    def _update(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.metrics = self._measure(trainer, module)
        self._measured_at = trainer.global_step
