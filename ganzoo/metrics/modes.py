"""Counts the modes of a known distribution that a generator's samples reach: the measure of mode collapse.

Rings and grids of normals in the plane have modes that are known exactly (Srivastava et al. 2017, "VEEGAN"; Lin et al. 2018,
"PacGAN"). Stacked MNIST has 1,000: the three digits that a classifier reads in the three colour channels (Metz et al. 2017,
"Unrolled GANs"). ``mode_coverage(NormalModes(ring(), 0.01), samples)`` counts them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import cos, pi, sin
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import manifold
from ganzoo.metrics.divergences import jensen_shannon, kullback_leibler
from ganzoo.metrics.extractors.classifier import predict_classes
from ganzoo.metrics.statistics import checked_pair

SAMPLES = 2500  # usual for rings and grids


class Assigned(NamedTuple):
    """The mode of each sample.

    Attributes:
        mode: the nearest mode, int64 [N], from 0.
        high_quality: whether the sample is near enough to count for its mode, bool [N].
    """

    mode: Tensor
    high_quality: Tensor


class Modes(ABC):
    """Known modes of a distribution.

    Attributes:
        count: number of modes K.
        words: what counts as a sample of a mode, for a protocol.
    """

    count: int
    words: str

    @abstractmethod
    def assign(self, samples: Tensor) -> Assigned:
        """Finds the mode of each of N samples, on the CPU.

        Raises:
            InputError: there are no samples, or they have another form than the data.
        """


@runtime_checkable
class ModeData(Protocol):
    """A DataModule whose modes are known."""

    def modes(self) -> Modes:
        """The modes of its samples, in the units of its batches."""


class NormalModes(Modes):
    """The modes of a mixture of equal normals ``N(centre, sigma^2 I)`` with equal weights.

    A sample belongs to the nearest centre. Its quality is high if it is at most ``deviations sigma`` away. In the plane,
    with three deviations, samples of the mixture itself have high quality with probability ``1 - exp(-9/2)``, 98.89 %.

    Args:
        centres: [K, d], further apart than ``2 deviations sigma``.
        sigma: standard deviation of each normal in each direction, above 0.
        deviations: above 0.

    Raises:
        InputError: a number is not above 0, or two centres are too near to each other.
    """

    def __init__(self, centres: Tensor, sigma: float, deviations: float = 3.0) -> None:
        if not (sigma > 0 and deviations > 0):
            raise InputError(f"modes need a sigma and deviations above 0, not {sigma} and {deviations}")
        if len(centres) > 1 and torch.pdist(centres.double()).min() <= 2 * deviations * sigma:
            raise InputError(
                f"two modes overlap: their centres are not more than 2 x {deviations:g} x sigma {sigma:g} apart; give a "
                "smaller sigma, fewer modes or more space between them"
            )
        self.centres, self.sigma, self.deviations = centres, sigma, deviations
        self.count = len(centres)
        self.words = f"{self.count} normals, a sample within {deviations:g} sigma of the nearest"

    def assign(self, samples: Tensor) -> Assigned:
        x, centres = checked_pair(samples.detach().cpu(), self.centres)
        blocks = (block.min(1) for _, block in manifold.squared_distances(x, centres))
        squares, nearest = (torch.cat(each) for each in zip(*blocks, strict=True))
        return Assigned(nearest, squares.sqrt() <= self.deviations * self.sigma)


class StackedModes(Modes):
    """The modes of images whose channels each show a class of their own, as a classifier reads them.

    The mode of classes (a, b, c) of the red, green and blue channel is ``a K^2 + b K + c``. Every sample counts.

    Args:
        classifier: uint8 images [N, 1, H, W] -> logits [N, K] of one channel.
        classes: K.
        channels: number of channels; there are ``K ** channels`` modes.
        words: which classifier it is, for a protocol.
    """

    def __init__(
        self, classifier: Callable[[Tensor], Tensor], classes: int = 10, channels: int = 3, words: str = "a classifier"
    ) -> None:
        self.classifier, self.classes, self.channels = classifier, classes, channels
        self.count = classes**channels
        self.words = f"{self.count} combinations of {classes} classes in {channels} channels, by {words}"

    def assign(self, samples: Tensor) -> Assigned:
        if samples.ndim != 4 or samples.shape[1] != self.channels or samples.dtype != torch.uint8 or not len(samples):
            raise InputError(
                f"stacked modes are counted in uint8 images [N, {self.channels}, H, W], not {samples.dtype} "
                f"{list(samples.shape)}"
            )
        with torch.no_grad():
            read = predict_classes(self.classifier, samples.flatten(0, 1).unsqueeze(1)).unflatten(0, (-1, self.channels))
        mode = (read * self.classes ** torch.arange(self.channels - 1, -1, -1)).sum(1)
        return Assigned(mode, torch.ones_like(mode, dtype=torch.bool))


class Coverage(NamedTuple):
    """How samples spread over known modes.

    Attributes:
        modes: number of modes with at least one sample of high quality.
        high_quality: share of the samples that have high quality, in [0, 1].
        kl: ``KL(samples || even)`` of how all samples spread over their nearest modes, in nats; log K for one mode.
        js: the Jensen-Shannon divergence of the same two histograms, in [0, log 2] nats; PacGAN's code has
            it of the samples of high quality alone.
        missing: the modes without a sample of high quality, by number.
    """

    modes: int
    high_quality: float
    kl: float
    js: float
    missing: tuple[int, ...]


def mode_coverage(modes: Modes, samples: Tensor) -> Coverage:
    """Counts the modes that samples reach, and measures how evenly they spread.

    Args:
        modes: the known modes.
        samples: [N, ...] of the data's form; 2,500 are usual for rings and grids, 26,000 for stacked MNIST.

    Raises:
        InputError: the errors of :meth:`Modes.assign`.
    """
    nearest, good = modes.assign(samples)
    seen = nearest[good].bincount(minlength=modes.count) > 0
    spread, even = nearest.bincount(minlength=modes.count), torch.ones(modes.count)
    return Coverage(
        modes=int(seen.sum()),
        high_quality=good.double().mean().item(),
        kl=kullback_leibler(spread, even),
        js=jensen_shannon(spread, even),
        missing=tuple((~seen).nonzero().flatten().tolist()),
    )


def ring(modes: int = 8, radius: float = 1.0) -> Tensor:
    """Centres at the angles ``2 pi k / modes``, k from 0 to ``modes - 1``, float64 [modes, 2]: no angle is there twice."""
    angles = [2 * pi * k / modes for k in range(modes)]
    return radius * torch.tensor([[cos(a), sin(a)] for a in angles], dtype=torch.float64)


def grid(side: int = 5, spacing: float = 2.0) -> Tensor:
    """Centres of a square around the origin, float64 [side * side, 2]."""
    places = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return torch.cartesian_prod(places, places)
