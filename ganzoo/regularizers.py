"""Regularizers of a GAN as parts: gradient penalty, R1, R2, feature matching.

A model takes a list of them as its argument ``regularizers``: objects from Python, ``[{class_path: R1, init_args: {gamma:
1}}]`` from YAML. Its checkpoint keeps them in the second form. Each adds one term, under its own name, to what one player
descends. The formulas of the penalties are functions in ``ganzoo.penalties``.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from ganzoo.errors import InputError
from ganzoo.penalties import Critic, gradient_penalty, r1, r2
from ganzoo.utils.ranges import Checked, PositiveFloat


class Regularizer(Checked, ABC):
    """A further term of one player's loss. A config can name a subclass that keeps each argument under its own name.

    Attributes:
        name: the term's name in the logs.
        player: who descends it, "discriminator" or "generator".
        differentiates: whether it is made of gradients of the discriminator, which are then differentiated again.
    """

    name: ClassVar[str]
    player: ClassVar[str] = "discriminator"
    differentiates: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Computes the term.

        Args:
            D: the discriminator as a function of the images alone; a class or an input is filled in.
            real: real images [N, C, H, W], as the discriminator sees them.
            fake: generated images of the same shape, as the discriminator sees them.

        Returns:
            A scalar, float32, with its weight.
        """


class GradientPenalty(Regularizer):
    """WGAN-GP's gradient penalty ``weight E (||grad D(x)|| - 1)^2`` (Gulrajani et al. 2017, eq. 3).

    Needs a discriminator without batch norm, which mixes the samples.

    Args:
        weight: lambda, 10 in the paper.
    """

    name = "gradient_penalty"
    differentiates = True

    def __init__(self, weight: PositiveFloat = 10.0) -> None:
        self.weight = weight

    def __call__(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return self.weight * gradient_penalty(D, real, fake)


class R1(Regularizer):
    """The R1 penalty ``gamma / 2 E ||grad D(x)||^2`` on real images (Mescheder et al. 2018, eq. 9).

    Needs a discriminator without batch norm, which mixes the samples.

    Args:
        gamma: its weight, 10 in the paper; the weight 10 of the released code has no 1/2 beside it, so it is gamma 20.
    """

    name = "r1"
    differentiates = True

    def __init__(self, gamma: PositiveFloat = 10.0) -> None:
        self.gamma = gamma

    def __call__(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return self.gamma * r1(D, real)


class R2(Regularizer):
    """The R2 penalty ``gamma / 2 E ||grad D(x)||^2`` on generated images (Mescheder et al. 2018, eq. 10).

    Needs a discriminator without batch norm, which mixes the samples.

    Args:
        gamma: its weight, 10 in the paper.
    """

    name = "r2"
    differentiates = True

    def __init__(self, gamma: PositiveFloat = 10.0) -> None:
        self.gamma = gamma

    def __call__(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return self.gamma * r2(D, fake)


class FeatureMatching(Regularizer):
    """Feature matching ``weight ||E f(x) - E f(G(z))||^2``, a term of the generator (Salimans et al. 2016, section 3.1).

    ``f`` is the input of the discriminator's last layer. In the paper this cost replaces the generator's own. Here it is
    added, and the loss ``Weighted`` with ``generator_weight`` 0 takes the other away. Its means are over the batch of one
    process.

    Args:
        weight: factor of the term.
    """

    name = "feature_matching"
    player = "generator"

    def __init__(self, weight: PositiveFloat = 1.0) -> None:
        self.weight = weight

    def __call__(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        with torch.no_grad():
            target = features(D, real).mean(0)
        return self.weight * (features(D, fake).mean(0) - target).square().sum()


def features(D: Critic, images: Tensor) -> Tensor:
    """Computes the features of images: what the discriminator's last linear layer or convolution gets.

    Args:
        D: the discriminator, or a function that calls it.
        images: images [N, C, H, W].

    Returns:
        Features [N, F], float32, with a graph.

    Raises:
        InputError: it calls no linear layer and no convolution.
    """
    found: list[Tensor] = []

    def note(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            found[:] = [inputs[0]]

    noting = register_module_forward_pre_hook(note)  # of all modules: D may be a function around a network
    try:
        D(images)
    finally:
        noting.remove()
    if not found:
        raise InputError("feature matching needs a discriminator with a linear layer or a convolution, and this has none")
    return found[0].flatten(1).float()
