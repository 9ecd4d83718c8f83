"""The noise of a generator as points of a vector space: the images of a plane through it, and arithmetic with points."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.inference.generation import decode_each, join, noise_of, noise_sampler_of, requests
from ganzoo.noises import ContinuousNoise

Noises = Mapping[str, Tensor]  # tensors [n, ...] by name, as NoiseSampler.draw_noise gives them


class LatentSpace:
    """The noise of a sampler in normal coordinates: a point for each image, whose numbers are standard normal.

    The coordinates are those of all noise with a ``ContinuousNoise`` distribution: z, or z_0, z_1 ... of a cascade. Other
    noise, such as the dropout masks of CGAN, has no coordinates and stays what it is.

    Args:
        model: a ``NoiseSampler``.

    Attributes:
        sampler: the model.
        size: number of coordinates.

    Raises:
        InputError: the model has no noise with coordinates.
    """

    def __init__(self, model: nn.Module) -> None:
        self.sampler = noise_sampler_of(model)
        example = noise_of(self.sampler, 0)
        distributions = self.sampler.distributions()
        self.distributions: dict[str, ContinuousNoise] = {
            name: found for name in example if isinstance(found := distributions[name], ContinuousNoise)
        }
        if not self.distributions:
            kinds = ", ".join(sorted({type(each).__name__ for each in distributions.values()}))
            raise InputError(
                f"{type(model).__name__} has the noise {kinds}, which has no coordinates: this needs continuous noise, "
                "such as Normal, Uniform and Spherical (ganzoo.noises.ContinuousNoise)"
            )
        self._shapes = {name: example[name].shape[1:] for name in self.distributions}
        self._like = {name: example[name] for name in self.distributions}
        self.size = sum(shape.numel() for shape in self._shapes.values())

    def coordinates(self, noise: Noises) -> Tensor:
        """The normal coordinates of noise, float64 [n, size]."""
        return torch.cat([each.to_normal(noise[name]).flatten(1) for name, each in self.distributions.items()], 1)

    def noise(self, coordinates: Tensor, others: Noises) -> dict[str, Tensor]:
        """The noise at normal coordinates; differentiable.

        Args:
            coordinates: [n, size].
            others: noise of one image or of n, of which what has no coordinates is taken.
        """
        found = {name: each.expand(len(coordinates), *each.shape[1:]) for name, each in others.items()}
        parts = coordinates.split([shape.numel() for shape in self._shapes.values()], 1)
        for (name, each), part in zip(self.distributions.items(), parts, strict=True):
            found[name] = each.from_normal(part.unflatten(1, self._shapes[name])).to(self._like[name])
        return found


def manifold(
    model: nn.Module,
    size: int = 20,
    axes: tuple[int, int] | None = None,
    seed: int = 0,
    label: int | None = None,
    batch_size: int = 1,
) -> Tensor:
    """Generates the images of a plane through the latent space: the picture of a learned manifold of two dimensions.

    The images stand at the quantiles (k + 1/2) / size of the noise, each for the same share of the probability, as in figure
    4 of Kingma and Welling 2014. The first direction goes from left to right, the second from top to bottom.

    A latent space of two numbers is this plane. In one of d > 2 numbers the plane goes through the centre in two random
    directions at right angles, which the seed decides, and is stretched by sqrt(d / 2): its points are then as far from the
    centre as noise is. With ``axes``, two coordinates vary and the others are those of the seed's noise.

    Args:
        model: a ``NoiseSampler``.
        size: images in a row and in a column.
        axes: numbers of the two coordinates that vary, from 0; None for two random directions.
        seed: of the directions, or of the noise that does not vary; and of noise without coordinates.
        label: the class; None for the class ``seed % model.classes``.
        batch_size: as in :func:`ganzoo.inference.generate`.

    Returns:
        uint8 [size * size, C, H, W] on the CPU, row by row.

    Raises:
        InputError: there is no such coordinate or class, or the noise has no coordinates.
    """
    space = LatentSpace(model)
    (wanted,) = requests(model, [seed], label)
    if space.size < 2:
        raise InputError(f"{type(model).__name__} has 1 number of noise, and a plane needs 2")
    if axes is not None and (axes[0] == axes[1] or not all(0 <= axis < space.size for axis in axes)):
        raise InputError(f"the axes are two of the coordinates 0 to {space.size - 1}, not {axes[0]} and {axes[1]}")
    start = noise_of(space.sampler, seed)
    shares = torch.special.ndtri((torch.arange(size, dtype=torch.float64) + 0.5) / size)
    down, right = torch.meshgrid(shares, shares, indexing="ij")
    plane = torch.stack([right.flatten(), down.flatten()], 1)
    if axes is None and space.size > 2:
        points = sqrt(space.size / 2) * plane @ random_directions(space.size, seed)
    else:
        points = space.coordinates(start).cpu().repeat(size * size, 1)
        points[:, list(axes or (0, 1))] = plane
    noise = space.noise(points.to(next(iter(start.values())).device), start)
    y = None if wanted.label is None else torch.full((size * size,), wanted.label)
    return torch.stack(list(decode_each(space.sampler, noise, y, batch_size)))


def random_directions(size: int, seed: int) -> Tensor:
    """Two unit vectors at right angles, float64 [2, size], whose plane is uniformly distributed."""
    drawn = torch.randn(size, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(drawn).Q.T


class Concept(NamedTuple):
    """A point of the latent space that stands for what several images have in common.

    Attributes:
        noise: the mean of their noise, [1, ...] by name; noise without coordinates is that of the first.
        code: the mean of their one-hot codes, [1, classes]; None for a model without classes.
    """

    noise: dict[str, Tensor]
    code: Tensor | None


def concept(model: nn.Module, seeds: Sequence[int], classes: int | Sequence[int] | None = None) -> Concept:
    """Averages the noise of several images, and the codes of their classes.

    Radford et al. 2016 found that arithmetic with single images is unstable, and with means of three is not (section 6.3.2).

    Args:
        model: a ``NoiseSampler``.
        seeds: seed of each image, in [0, 2^32).
        classes: as in :func:`ganzoo.inference.generate`.

    Raises:
        InputError: there is no such seed or class, or the noise has no coordinates.
    """
    space, wanted = LatentSpace(model), requests(model, seeds, classes)
    noise = join([noise_of(space.sampler, each.seed) for each in wanted])
    mean = {
        name: each.double().mean(0, keepdim=True).to(each) if name in space.distributions else each[:1]
        for name, each in noise.items()
    }
    if space.sampler.classes is None:
        return Concept(mean, None)
    labels = torch.tensor([each.label for each in wanted])
    return Concept(mean, torch.eye(space.sampler.classes)[labels].mean(0, keepdim=True))


def combine(model: nn.Module, concepts: Sequence[Concept], signs: Sequence[int]) -> Concept:
    """Adds and subtracts concepts: the sum of ``signs[k] * concepts[k]``, in the noise's own numbers and in the codes.

    Args:
        model: a ``NoiseSampler``.
        concepts: of :func:`concept`; noise without coordinates is that of the first.
        signs: +1 or -1 for each.
    """
    space = LatentSpace(model)

    def total(each: Sequence[Tensor]) -> Tensor:
        return torch.stack([sign * part.double() for sign, part in zip(signs, each, strict=True)]).sum(0).to(each[0])

    noise = {
        name: total([each.noise[name] for each in concepts]) if name in space.distributions else first
        for name, first in concepts[0].noise.items()
    }
    codes = [each.code for each in concepts if each.code is not None]
    return Concept(noise, total(codes) if codes else None)


def around(model: nn.Module, centre: Concept, n: int = 8, amplitude: float = 0.25, seed: int = 0) -> Concept:
    """Points around a point: the point itself, then n with uniform noise added to each of its numbers.

    Args:
        model: a ``NoiseSampler``.
        centre: the point.
        n: number of points beside the centre.
        amplitude: the noise is uniform from -amplitude to amplitude; 0.25 in figure 7 of Radford et al. 2016.
        seed: of the noise.

    Returns:
        The noise and the codes of n + 1 points, the centre first.
    """
    space, generator = LatentSpace(model), torch.Generator().manual_seed(seed)
    noise = {}
    for name, each in centre.noise.items():
        repeated = each.repeat(n + 1, *[1] * (each.ndim - 1))
        if name in space.distributions:
            drawn = torch.rand(repeated[1:].shape, generator=generator) * 2 - 1
            repeated[1:] += (amplitude * drawn).to(repeated)
        noise[name] = repeated
    return Concept(noise, None if centre.code is None else centre.code.repeat(n + 1, 1))
