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
from ganzoo.ops.interpolation import lerp, slerp, with_exact_ends
from ganzoo.utils.ranges import Checked, FiniteFloat, HalfOpenUnitInterval, PositiveFloat


class Noise(Checked, ABC):
    """A distribution of noise. A config can name a subclass that keeps each argument under its own name."""

    @abstractmethod
    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Draws float32 numbers of this shape on the device, from the generator, or from torch's own if it is None."""

    def interpolate(self, start: Tensor, end: Tensor, t: Tensor, spherical: bool = True) -> Tensor:
        """Interpolates between noise of this distribution.

        Args:
            start: noise [N, ...].
            end: noise of the same shape.
            t: shares [N] of the way; 0 gives ``start`` and 1 gives ``end`` exactly.
            spherical: along a great circle, so that what lies between is as probable as the ends; else a straight line.

        Returns:
            Noise [N, ...].

        Raises:
            InputError: spherical, and this distribution has no such way.
        """
        if spherical:
            raise InputError(
                f"spherical interpolation is for the noises Normal, Spherical and Uniform, and this model's is "
                f"{type(self).__name__}: take straight interpolation (lerp)"
            )
        return lerp(start, end, t)

    def truncate(self, z: Tensor, truncation: float) -> Tensor:
        """Shrinks noise towards its mean; for normal noise.

        Args:
            z: noise of this distribution, of any shape.
            truncation: factor of the distance to the mean: 1 changes nothing, 0 gives the mean.

        Raises:
            InputError: the noise is not normal.
        """
        raise InputError(f"truncation is for the noise Normal, and this model's is {type(self).__name__}: leave it out")

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


class ContinuousNoise(Noise):
    """A distribution that is a function of standard normal numbers, its normal coordinates.

    In normal coordinates the noise of every such distribution is alike, and none has bounds. Independent numbers have those
    of the same quantiles: ``from_normal(torch.special.ndtri(share))`` is then the inverse of the distribution function.
    """

    @abstractmethod
    def to_normal(self, z: Tensor) -> Tensor:
        """Normal coordinates of noise [N, ...], in float64; ``from_normal`` leads back."""

    @abstractmethod
    def from_normal(self, normal: Tensor) -> Tensor:
        """The noise at normal coordinates [N, ...], of their shape and type; differentiable."""


class Uniform(ContinuousNoise):
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

    def interpolate(self, start: Tensor, end: Tensor, t: Tensor, spherical: bool = True) -> Tensor:
        """As in ``Noise``. The spherical way is that of the normal numbers with the same quantiles."""
        if not spherical:
            return lerp(start, end, t)
        between = self.from_normal(slerp(self.to_normal(start), self.to_normal(end), t))
        return with_exact_ends(between, start, end, t)

    def to_normal(self, z: Tensor) -> Tensor:
        share = (z.double() - self.low) / (self.high - self.low)
        return torch.special.ndtri(share.clamp(2**-26, 1 - 2**-26))  # half a step of float32 from the ends

    def from_normal(self, normal: Tensor) -> Tensor:
        return torch.special.ndtr(normal).mul(self.high - self.low).add(self.low)


class Normal(ContinuousNoise):
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

    def interpolate(self, start: Tensor, end: Tensor, t: Tensor, spherical: bool = True) -> Tensor:
        centred = (slerp if spherical else lerp)(start - self.mean, end - self.mean, t)
        return with_exact_ends(centred + self.mean, start, end, t)

    def to_normal(self, z: Tensor) -> Tensor:
        return (z.double() - self.mean) / self.std

    def from_normal(self, normal: Tensor) -> Tensor:
        return normal * self.std + self.mean

    def truncate(self, z: Tensor, truncation: float) -> Tensor:
        return (z - self.mean) * truncation + self.mean


class Spherical(ContinuousNoise):
    """The uniform distribution on a sphere: each vector has the same length, and every direction is as likely.

    In many dimensions normal noise is nearly so: its length is near ``sqrt(d)`` (White 2016, "Sampling Generative
    Networks").

    Args:
        radius: length of a vector, above 0. Left out it is ``sqrt(d)`` for d numbers, so that each has the variance 1.
    """

    def __init__(self, radius: PositiveFloat | None = None) -> None:
        self.radius = radius

    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        vectors = torch.randn(shape, generator=generator, device=device, dtype=torch.float32).view(shape[0], -1)
        radius = self.radius or sqrt(vectors.shape[1])
        return (vectors * (radius / vectors.norm(dim=1, keepdim=True))).view(tuple(shape))

    def interpolate(self, start: Tensor, end: Tensor, t: Tensor, spherical: bool = True) -> Tensor:
        """As in ``Noise``. The spherical way stays on the sphere."""
        return slerp(start, end, t) if spherical else lerp(start, end, t)

    def to_normal(self, z: Tensor) -> Tensor:
        """The vectors themselves at the length ``sqrt(d)``, which that of normal coordinates is near."""
        return self._at(z.double(), sqrt(z[0].numel()))

    def from_normal(self, normal: Tensor) -> Tensor:
        """The vectors of the same direction on the sphere."""
        return self._at(normal, self.radius or sqrt(normal[0].numel()))

    def _at(self, vectors: Tensor, length: float) -> Tensor:
        rows = vectors.flatten(1)
        return (rows * (length / rows.norm(dim=1, keepdim=True))).view(vectors.shape)


class DropoutMask(Noise):
    """The factors of dropout: 0 with probability p, else 1 / (1 - p). It is noise where dropout is on in sampling.

    Args:
        p: share of zeros.
    """

    def __init__(self, p: HalfOpenUnitInterval = 0.5) -> None:
        self.p = p

    def draw(self, shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        kept = torch.rand(shape, generator=generator, device=device, dtype=torch.float32) >= self.p
        return kept.float().div_(1 - self.p)

    def interpolate(self, start: Tensor, end: Tensor, t: Tensor, spherical: bool = True) -> Tensor:
        """Each value changes from ``start`` to ``end`` at a moment of its own, so all between are masks of the same p."""
        moments = torch.rand(start.shape[1:], generator=torch.Generator().manual_seed(0)).to(start.device)
        return torch.where(moments < t.to(moments).view(-1, *[1] * (start.ndim - 1)), end, start)

    def truncate(self, z: Tensor, truncation: float) -> Tensor:
        """Nothing is shrunk: a mask has no other values."""
        return z
