"""Computes what a model's discriminator says of images: one number for each, one for each patch, or a map of the pixels."""

from functools import singledispatch
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

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


class Opinion(NamedTuple):
    """What a discriminator says of images, and where.

    Attributes:
        output: [N] in the units of the model's loss, as in :func:`discriminator_output`; the mean where it judges patches.
        map: [N, h, w]. Of a discriminator that judges patches, its output for each. Else h and w are those of the image, and
            the map is the sensitivity: the length of the logit's gradient with respect to each pixel, over the channels.
        patches: whether the map is of patches.
    """

    output: Tensor
    map: Tensor
    patches: bool


def discriminator_opinion(
    model: nn.Module, images: Tensor, condition: Tensor | None = None, direction: str | None = None
) -> Opinion:
    """Computes what the discriminator says of images, with a map over the image of what it looks at.

    A pixel's gradient says how much the logit changes with that pixel, not whether the pixel looks real (Simonyan et al.
    2014, "Deep Inside Convolutional Networks", section 3). Arguments and errors are those of :func:`discriminator_output`.
    """
    output = discriminator_output(model, images, condition, direction)
    if output[0].numel() > 1:
        return Opinion(output.mean((1, 2)), output, True)
    network: Any = model
    with torch.inference_mode(False), torch.enable_grad(), eval_mode(network):
        pixels = images.detach().to(next(network.parameters())).clone().requires_grad_(True)
        # images do not see each other in evaluation mode, so the gradient of the sum is that of each
        (gradient,) = torch.autograd.grad(discriminator_logits(network, pixels, condition, direction).sum(), pixels)
    return Opinion(output.flatten(), gradient.float().square().sum(1).sqrt(), False)


def undecided_output(model: nn.Module, output: Tensor) -> float:
    """The output of a discriminator that cannot decide; the mean of ``output`` where the loss knows none."""
    loss: Any = model.loss
    if loss.threshold is None:
        return float(output.mean())
    return float(loss.activation(torch.tensor(float(loss.threshold))))


RED, GREEN, ORANGE = (220.0, 40.0, 40.0), (30.0, 170.0, 70.0), (255.0, 120.0, 0.0)


def overlay(image: Tensor, output: Tensor, neutral: float, above: tuple[float, float, float] = GREEN) -> Tensor:
    """Draws a map over an image: red where it is below ``neutral``, green where it is above.

    Args:
        image: uint8 [1 or 3, H, W].
        output: [h, w], stretched over the image.
        neutral: the value without colour. The strongest colour is that of the value that is farthest from it.
        above: red, green and blue of values above it, from 0 to 255.

    Returns:
        uint8 [3, H, W].
    """
    far = (output - neutral).float()
    far = far / far.abs().max().clamp_min(1e-12)
    share = interpolate(far[None, None], image.shape[-2:], mode="bilinear", align_corners=False)[0]
    grey = image.float().mean(0, keepdim=True).expand(3, -1, -1)
    low, high = (torch.tensor(colour).view(3, 1, 1) for colour in (RED, above))
    colour = torch.where(share < 0, low, high)
    return (grey + 0.6 * share.abs() * (colour - grey)).round().clamp(0, 255).to(torch.uint8)


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
