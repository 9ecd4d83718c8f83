"""Models that generate images of a class."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganzoo.interfaces import expect_labels
from ganzoo.models.base.generator import GeneratorModel
from ganzoo.prediction import as_inputs
from ganzoo.utils.ranges import Size


class ConditionalGeneratorModel(GeneratorModel):
    """A model that generates images of a class.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: number of classes; labels run from 0 to classes - 1. None for a model without classes.
        training: the other arguments of ``GeneratorModel``.
    """

    def __init__(self, shape: tuple[Size, ...], classes: Size | None = 10, **training: Any) -> None:
        self.classes = classes
        super().__init__(shape, **training)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """Images of noise z [N, latent] and classes y, int64 [N]."""
        return self.G(z, self.one_hot(y, len(z)))

    def generate(self, noise: Mapping[str, Tensor], y: Tensor | None) -> Tensor:
        return self.G(noise["z"], self.one_hot(y, noise["z"].shape[0]))

    def one_hot(self, y: Tensor | None, n: int) -> Tensor:
        """One-hot codes of classes.

        Args:
            y: int64 classes [n], or floats [n, classes], which are codes already; None for each class in turn.
            n: number of codes.

        Returns:
            Floats [n, classes]; [n, 0] for a model without classes.
        """
        like = next(self.parameters())
        if self.classes is None:
            return like.new_zeros(n, 0)
        if y is not None and y.is_floating_point():
            return y.to(like)
        y = torch.arange(n, device=like.device) % self.classes if y is None else y.to(like.device)
        return one_hot(y, self.classes).to(like)

    def labels(self, batch: Any) -> Tensor | None:
        return None if self.classes is None else self.field(batch, "y")

    def check_batch(self, batch: Any) -> None:
        super().check_batch(batch)
        if self.classes is not None and not self.trainer.predicting:
            self.expect_classes(self.field(batch, "y"), self.classes)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Samples [B, C, H, W] of the images' classes, with noise that an image's number in the dataset decides."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if self.classes is not None and len(inputs.number):
            expect_labels(inputs.y, self.classes)
        return super().predict_step(inputs, batch_idx)
