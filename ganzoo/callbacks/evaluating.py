"""A callback for which validation and test are alike."""

from typing import Any

import lightning.pytorch as L


class EvaluatingCallback(L.Callback):
    """Calls one method for both the validation's and the test's hook; a subclass overrides those that it needs."""

    def begin(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Called before the first batch of a validation or test."""

    def take(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, number: int, loader: int) -> None:
        """Called after each batch.

        Args:
            trainer: that runs.
            module: the model.
            outputs: what its step returned.
            number: of the batch, from 0.
            loader: number of its data loader.
        """

    def finish(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Called after the last batch, where values can be logged; `stage` is ``val`` or ``test``."""

    def close(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Called when the validation or test is over."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begin(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.take(trainer, pl_module, outputs, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.finish(trainer, pl_module, "test" if trainer.testing else "val")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.close(trainer, pl_module)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end
    on_test_end = on_validation_end
