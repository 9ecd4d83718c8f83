"""Hyperparameters as plain data, so that a checkpoint loads back alike from Python and from the command line."""

import inspect
from pickle import UnpicklingError
from typing import Any, Self

import lightning.pytorch as L

from ganzoo.errors import InputError
from ganzoo.parts import plain


class PlainHyperparameters(L.LightningModule):
    """A LightningModule whose checkpoints hold weights and plain data only."""

    def save_hyperparameters(self, *args: Any, ignore: Any = None, frame: Any = None, logger: bool = True) -> None:
        """Lightning's, with every object kept as its recipe, so that a checkpoint loads with weights only.

        Raises:
            InputError: for an argument that cannot be written down (a network, a function).
        """
        frame = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
        super().save_hyperparameters(*args, ignore=ignore, frame=frame, logger=logger)
        super().save_hyperparameters({name: plain(value) for name, value in self.hparams.items()}, logger=logger)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, weights_only: bool = True, **kwargs: Any) -> Self:
        """Lightning's, reading weights and plain data only: the file itself brings no code.

        It does name classes (the model's, its loss's), and their modules are imported from where Python finds them. The
        model comes back in training mode, like any new one: call ``eval()`` before you sample it.

        Raises:
            InputError: the file holds something else than weights and plain data.
        """
        try:
            return super().load_from_checkpoint(checkpoint_path, *args, weights_only=weights_only, **kwargs)  # type: ignore
        except UnpicklingError:
            raise InputError(
                f"{checkpoint_path} holds more than weights and plain data, and was not loaded, because it could run code: "
                "weights only is what ganzoo writes and reads"
            ) from None
