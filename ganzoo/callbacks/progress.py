"""Progress bar: each player's loss, and the discriminator's mean output on real and generated images."""

import sys
import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import BarColumn

from ganzoo.utils.ranges import Checked, NonNegativeFloat, NonNegativeInt


class Progress(Checked, RichProgressBar):
    """Lightning's rich progress bar, drawn at a limited rate; without a terminal it prints a plain line at intervals.

    Args:
        refresh_rate: how often per second the bar is drawn and its values are read from the device; 0 for no bar.
        leave: whether to keep each epoch's bar.
        plain_interval: seconds between two plain lines if the output is a file; the training ends with one.
    """

    def __init__(
        self, refresh_rate: NonNegativeInt = 10, leave: bool = False, plain_interval: NonNegativeFloat = 30.0
    ) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave)
        self.plain_interval = plain_interval
        self._values: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._printed = float("-inf")
        self._plain = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Chooses the bar or plain lines."""
        super().setup(trainer, pl_module, stage)
        if self.is_enabled and trainer.is_global_zero and not sys.stdout.isatty():
            self._plain = True
            self.disable()

    def _get_train_description(self, current_epoch: int) -> str:
        # Lightning counts from 0 to 4, and people expect 1 to 5
        description = f"Epoch {_of(self.trainer, current_epoch)}"
        return f"{description:{len(self.validation_description)}}"

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Returns Lightning's columns with a shorter bar, so that the values fit."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = 12
        return columns

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Returns the values to show. Reading them waits for the device, so they are read only when drawn."""
        now = time.monotonic()
        if now - self._fetched >= 1 / max(self.refresh_rate, 1):
            self._values = super().get_metrics(trainer, pl_module)
            self._values.pop("v_num", None)
            self._fetched = now
        return self._values

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the timer of the plain lines."""
        super().on_train_start(trainer, pl_module)
        self._printed = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advances the bar, or prints a line if the interval has passed."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._plain and time.monotonic() - self._printed >= self.plain_interval:
            self._print_line(trainer, pl_module, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows the epoch's last values."""
        self._fetched = float("-inf")
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the last line."""
        super().on_train_end(trainer, pl_module)
        if self._plain:
            self._print_line(trainer, pl_module, trainer.current_epoch - 1)  # Lightning has begun to count the next

    def _print_line(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> None:
        values = self.get_metrics(trainer, pl_module)
        shown = [f"{name} {value:.3f}" for name, value in values.items() if isinstance(value, float)]
        print(f"epoch {_of(trainer, epoch)}", f"step {trainer.global_step}", *shown, sep="  ", flush=True)
        self._printed = time.monotonic()


def _of(trainer: L.Trainer, epoch: int) -> str:
    last = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
    return f"{epoch + 1}{last}"
