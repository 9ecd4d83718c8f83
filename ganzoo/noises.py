"""Noise distributions: what a generator's input z is drawn from.

A model takes one as its argument ``noise``: an object from Python, ``{class_path: ganzoo.noises.Uniform, init_args: {low: 0,
high: 1}}`` from YAML. Its checkpoint keeps it in the second form.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import final

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.utils.ranges import Checked, FiniteFloat, PositiveFloat


class Noise(Checked, ABC):
    """A distribution of independent numbers. A config can name a subclass that keeps each argument under its own name."""

    @abstractmethod
    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Draws float32 numbers of this shape on the device, from the generator, or from torch's own if it is None."""

    @final
    def sample(self, shape: Sequence[int], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draws noise.

        Args:
            shape: of the noise, [N, latent] or any other.
            like: a tensor of the device and the type that the noise is wanted in, such as a weight of the generator network.
            generator: where the numbers come from. They are drawn on its device, in float32, and then moved: one seed gives
                the same noise wherever the model is. Torch's own generator of ``like``'s device if left out.

        Returns:
            A tensor of this shape, on the device and of the type of ``like``.
        """
        return self.draw(tuple(shape), generator, generator.device if generator is not None else like.device).to(like)


class Uniform(Noise):
    """The uniform distribution from ``low`` to ``high``: mean ``(low + high) / 2``, variance ``(high - low)^2 / 12``.

    Left out, the bounds are -sqrt(3) and sqrt(3), which have mean 0 and variance 1: ``noise: 'uniform'`` of the code that
    Goodfellow et al. 2014 released (``Generator.get_noise``).

    Args:
        low: the least number.
        high: the greatest number, above ``low``.

    Raises:
        InputError: ``high`` is not above ``low``, or one of them is not a finite number.
    """

    def __init__(self, low: FiniteFloat = -sqrt(3), high: FiniteFloat = sqrt(3)) -> None:
        if low >= high:
            raise InputError(f"Uniform: low is {low} and high is {high}: give a low below high")
        self.low, self.high = low, high

    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        unit = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
        return unit.mul_(self.high - self.low).add_(self.low)


class Normal(Noise):
    """The normal distribution of this mean and standard deviation; standard normal if both are left out.

    Args:
        mean: its mean.
        std: its standard deviation, above 0.

    Raises:
        InputError: ``std`` is not above 0, or one of them is not a finite number.
    """

    def __init__(self, mean: FiniteFloat = 0.0, std: PositiveFloat = 1.0) -> None:
        self.mean, self.std = mean, std

    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        unit = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
        return unit.mul_(self.std).add_(self.mean)
