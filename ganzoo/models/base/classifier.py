"""Models that classify images."""

from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.interfaces import Classifier, as_input, expect_shape
from ganzoo.models.base.model import ZooModel
from ganzoo.prediction import as_inputs, expect_inputs
from ganzoo.training.ema import with_ema
from ganzoo.utils.ranges import Size


class ClassifierModel(ZooModel, Classifier):
    """A model that classifies images: ``forward`` gives the logits [N, classes] of images [N, C, H, W].

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: number of classes, at least 2; labels run from 0 to classes - 1.
        training: the arguments of ``AdversarialModule``.

    Raises:
        InputError: fewer than 2 classes.
    """

    def __init__(self, shape: tuple[Size, ...], classes: Size = 10, **training: Any) -> None:
        super().__init__(**training)
        if classes < 2:
            raise InputError(f"telling classes apart needs at least 2 of them, not {classes}")
        self.shape, self.classes = shape, classes

    @with_ema
    @torch.no_grad()
    def classify(self, x: Tensor) -> Tensor:
        return self(as_input(x, self.dtype)).float().softmax(1)

    def check_batch(self, batch: Any) -> None:
        if not self.trainer.predicting:  # each batch is checked
            expect_shape("shape", self.shape, self.field(batch, "x"))
            self.expect_classes(self.field(batch, "y"), self.classes)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Probabilities of the classes, [B, classes]."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        expect_inputs("shape", self.shape, inputs)
        if not len(inputs.number):  # no file of the batch could be read
            return next(self.parameters()).new_zeros(0, self.classes)
        return self.classify(inputs.x if isinstance(inputs.x, Tensor) else torch.stack(inputs.x))
