"""Models that translate images: in one direction, learned from pairs, or in both."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganzoo.errors import InputError
from ganzoo.interfaces import (
    Cycled,
    CycleTranslator,
    OneWay,
    Translated,
    Translator,
    as_input,
    expect_shape,
    isolated_rng,
)
from ganzoo.losses import AdversarialLoss
from ganzoo.models.base.model import GANModel
from ganzoo.prediction import Directed, as_inputs, each
from ganzoo.training.ema import with_ema
from ganzoo.utils.ranges import Size


class ImageToImageModel(Directed, GANModel, Translator):
    """What translators in one and in both directions share. ``G`` translates from x to y."""

    def forward(self, x: Tensor) -> Tensor:
        """Translations of images [N, C, H, W], both in [-1, 1]."""
        return self.G(x)

    @final
    @with_ema
    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        return self.G(as_input(x, self.dtype)).float()

    def check_batch(self, batch: Any) -> None:
        if not self.trainer.predicting:  # then there is one side only, and the sizes are the images' own
            self.check_images(self.field(batch, "x"), self.field(batch, "y"))

    @abstractmethod
    def check_images(self, x: Any, y: Any) -> None:
        """Raises InputError where the images of a batch do not have the model's channels."""

    @abstractmethod
    def evaluate_batch(self, batch: Any, batch_idx: int, stage: str) -> Any:
        """Translates a held-out batch and logs how well, as ``<stage>/...``; ``stage`` is "val" or "test"."""

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return self.evaluate_batch(batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        return self.evaluate_batch(batch, batch_idx, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Translations [B, C, H, W] of the batch's x, each at its own size; a list of [C, H, W] where sizes differ.

        Raises:
            InputError: images of other channels, or of a side that this model does not translate.
        """
        return each(as_inputs(batch, batch_idx, self._trainer), self)

    def log_l1(self, name: str, output: Tensor, target: Tensor) -> None:
        """Logs the mean absolute difference of two batches of images."""
        self.log(name, l1_loss(output.float(), target), prog_bar=True, batch_size=len(target), sync_dist=True)


class TranslatorModel(ImageToImageModel):
    """A model that translates an image of one domain into one of another, learned from pairs.

    To override: ``networks``, ``training_step``, the losses, ``penalties``. ``G`` translates.

    Args:
        inputs: channels of an input.
        outputs: channels of an output.
        loss: the adversarial term; ``default_loss`` if left out.
        training: ``regularizers`` of ``GANModel``, and the arguments of ``AdversarialModule``.
    """

    def __init__(self, inputs: Size = 3, outputs: Size = 3, loss: AdversarialLoss | None = None, **training: Any) -> None:
        super().__init__(loss, **training)
        self.inputs, self.outputs = inputs, outputs
        self.save_hyperparameters()

    def check_images(self, x: Any, y: Any) -> None:
        expect_shape("inputs", (self.inputs, *_size(x)), x)
        expect_shape("outputs", (self.outputs, *_size(x)), y)

    def evaluate_batch(self, batch: Any, batch_idx: int, stage: str) -> Translated:
        """Translates; logs ``<stage>/l1``, the mean absolute difference to the target."""
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with isolated_rng(batch_idx, x.device):
            output = self.translate(x)
        self.log_l1(f"{stage}/l1", output, y)
        return Translated(x, output, y)

    def one_way(self, direction: str | None = None) -> OneWay:
        if direction and self.direction and direction != self.direction:
            raise InputError(
                f"this model was trained with data.direction {self.direction} and goes that way only, not {direction}: "
                "leave the direction as in training (data.direction, --direction), or train a second model with "
                f"--data.direction {direction}"
            )
        return OneWay(self.translate, self.inputs, "inputs")


class CycleTranslatorModel(ImageToImageModel, CycleTranslator):
    """A model that translates between two domains in both directions: ``G`` from X to Y, ``F`` back, ``D_X`` and ``D_Y``.

    To override: ``networks``, ``training_step``, the losses, ``penalties``.

    Args:
        channels_x: channels of the images of X.
        channels_y: channels of the images of Y.
        loss: the adversarial terms; ``default_loss`` if left out.
        training: ``regularizers`` of ``GANModel``, of the discriminators, and the arguments of ``AdversarialModule``.

    Raises:
        InputError: a regularizer is a term of the generator.
    """

    ema_networks = ("G", "F")
    F: nn.Module
    D_X: nn.Module
    D_Y: nn.Module

    def __init__(
        self, channels_x: Size = 3, channels_y: Size = 3, loss: AdversarialLoss | None = None, **training: Any
    ) -> None:
        super().__init__(loss, **training)
        if unused := [each.name for each in self.regularizers if each.player == "generator"]:
            raise InputError(f"{type(self).__name__} takes regularizers of its discriminators, and {unused[0]} is none")
        self.channels_x, self.channels_y = channels_x, channels_y
        self.save_hyperparameters()

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"generator": [self.G, self.F], "discriminator": [self.D_X, self.D_Y]}

    @final
    def penalties_of_domains(self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor) -> dict[str, Tensor]:
        """Computes the ``penalties`` of ``D_X`` and of ``D_Y``; their names end in ``_x`` and in ``_y``."""
        of_x, of_y = self.penalties(self.D_X, x, fake_x), self.penalties(self.D_Y, y, fake_y)
        return {f"{name}_x": of_x[name] for name in of_x} | {f"{name}_y": of_y[name] for name in of_y}

    @final
    @with_ema
    @torch.no_grad()
    def translate_back(self, y: Tensor) -> Tensor:
        return self.F(as_input(y, self.dtype)).float()

    def check_images(self, x: Any, y: Any) -> None:
        expect_shape("channels_x", (self.channels_x, *_size(x)), x)
        expect_shape("channels_y", (self.channels_y, *_size(y)), y)

    def evaluate_batch(self, batch: Any, batch_idx: int, stage: str) -> Cycled:
        """Translates both ways and back; logs ``<stage>/cycle_x`` and ``cycle_y``, means of absolute differences."""
        x, y = self.field(batch, "x"), self.field(batch, "y")
        fake_y, fake_x = self.translate(x), self.translate_back(y)
        back_x, back_y = self.translate_back(fake_y), self.translate(fake_x)
        self.log_l1(f"{stage}/cycle_x", back_x, x)
        self.log_l1(f"{stage}/cycle_y", back_y, y)
        return Cycled(x, fake_y, back_x, y, fake_x, back_y)

    def one_way(self, direction: str | None = None) -> OneWay:
        """``G`` for images of the domain that was X in training, ``F`` for those of Y."""
        if direction in (None, self.direction or "AtoB"):
            return OneWay(self.translate, self.channels_x, "channels_x")
        return OneWay(self.translate_back, self.channels_y, "channels_y")


def _size(images: Any) -> tuple[int, ...]:
    """Height and width of images, which may be of any size; nothing of what is no image."""
    return tuple(images.shape[2:]) if isinstance(images, Tensor) else ()
