"""Computes what a model's discriminator says of images: one number for each, or one for each patch."""

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.interfaces import eval_mode
from ganzoo.models import CycleGAN, Pix2Pix
from ganzoo.models.base import CascadeModel, ConditionalGeneratorModel, GeneratorModel


def discriminator_output(
    model: nn.Module, images: Tensor, condition: Tensor | None = None, direction: str | None = None
) -> Tensor:
    """Computes the discriminator's output for images: ``discriminator_output(model, model.sample(4))``.

    The discriminator is in evaluation mode, so an image's output does not depend on the others.

    Args:
        model: a GAN, a conditional GAN, a Pix2Pix or a CycleGAN, or a subclass of yours. Another kind can be registered with
            ``discriminator_logits.register``.
        images: images [N, C, H, W] in [-1, 1].
        condition: what the discriminator also sees: int64 classes [N] of a conditional GAN (each class in turn if left
            out), the inputs [N, C, H, W] of a Pix2Pix.
        direction: for a CycleGAN, the direction in which the images were translated, as for ``Translator.one_way``.

    Returns:
        [N, h, w], where h and w count patches and are 1 for a discriminator of whole images. In the units of the model's
        loss: probabilities of being real, or scores where the loss has no sigmoid (``AdversarialLoss.activation``).

    Raises:
        InputError: the model has no discriminator of whole images, or the condition is missing.
    """
    network: Any = model
    with torch.no_grad(), eval_mode(network):
        weight = next(network.parameters())
        logits = discriminator_logits(network, images.to(weight), condition, direction)
        output = network.loss.activation(logits).float()
    return output.view(len(images), *(output.shape[-2:] if output.ndim == 4 else (1, 1)))


@singledispatch
def discriminator_logits(model: Any, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    """The logits of a model's discriminator; arguments as in :func:`discriminator_output`."""
    raise InputError(f"{type(model).__name__} has no discriminator of images")


@discriminator_logits.register
def _(model: GeneratorModel, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    return model.D(images)


@discriminator_logits.register
def _(model: ConditionalGeneratorModel, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    return model.D(images, model.one_hot(condition, len(images)))


@discriminator_logits.register
def _(model: CascadeModel, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    raise InputError(f"the discriminators of {type(model).__name__} see what each level adds, not whole images")


@discriminator_logits.register
def _(model: Pix2Pix, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    if condition is None:
        raise InputError("the discriminator of a Pix2Pix sees the input too: give it as condition")
    return model.discriminate(condition.to(images), images)


@discriminator_logits.register
def _(model: CycleGAN, images: Tensor, condition: Tensor | None, direction: str | None) -> Tensor:
    forward = direction in (None, model.direction or "AtoB")
    return (model.D_Y if forward else model.D_X)(images)
