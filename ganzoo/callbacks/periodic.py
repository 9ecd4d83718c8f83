"""Computes metrics at validations of a training and logs them, so that a checkpoint can monitor them."""

from abc import abstractmethod
from typing import Any

import lightning.pytorch as L

from ganzoo.callbacks.distributed import is_fast_dev_run, is_last, log_to_loggers, validates
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked


class PeriodicMetrics(Checked, L.Callback):
    """A callback that computes metrics at the first validation of a run, at the last, and at those between that are due.

    Where the training has no validation it computes at the ends of epochs. It does nothing in the sanity check and under
    ``fast_dev_run``.

    Args:
        every_n_epochs: compute at the validation of each n-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each n steps.

    Attributes:
        metrics: the newest values, by their names with the split, as Python numbers.
    """

    def __init__(self, every_n_epochs: int, every_n_steps: int | None = None) -> None:
        self.every_n_epochs, self.every_n_steps = every_n_epochs, every_n_steps
        self.metrics: dict[str, float] = {}
        self._measured_at: int | None = None  # a step of this run

    @abstractmethod
    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        """Computes the metrics; the same on all ranks."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Forgets an earlier run."""
        self._measured_at = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Computes each n steps."""
        step = trainer.global_step
        # a small batch of an accumulation window is no step
        due = self.every_n_steps and step and step % self.every_n_steps == 0 and step != self._measured_at
        if due and not is_fast_dev_run(trainer):
            self._update(trainer, pl_module)
            # loggers only listen each log_every_n_steps batches, so they are told, and the module's log has it as a monitor
            pl_module.log_dict(self.metrics, logger=False, sync_dist=trainer.world_size > 1)
            log_to_loggers(trainer, self.metrics)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes, if it is due."""
        if not trainer.sanity_checking and (trainer.state.fn != "fit" or self._is_due(trainer)):
            self._update_and_log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes, if it is due, where there is no validation."""
        if not validates(trainer) and self._is_due(trainer):
            self._update_and_log(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Says so, where a training was too short for any validation."""
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
