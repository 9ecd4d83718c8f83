"""Mixtures of normals in the plane: eight on a ring, twenty-five on a grid. Their modes are known, so collapse is counted.

The toy data of many papers on mode collapse (Metz et al. 2017, "Unrolled GANs"; Srivastava et al. 2017, "VEEGAN"; Lin et al.
2018, "PacGAN"). Points are computed, so there is nothing to download.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Points
from ganzoo.data.datasets import InMemory
from ganzoo.errors import InputError
from ganzoo.metrics.modes import NormalModes, grid, ring
from ganzoo.utils.ranges import PositiveFloat, SampleCount, Size

HELD_OUT = 2500  # points to validate on, and to test on: as many as are usually sampled to count modes
MARGIN = 5  # sigma between the outermost centres and the edge of [-1, 1]: one coordinate in two million is beyond
_SEED = 2017  # the same points for everybody


class NormalMixture(ImageDataModule):
    """Base class of mixtures of equal normals in the plane. A subclass defines :meth:`centres`. Batches are ``Points``.

    Points are divided by ``largest coordinate of a centre + 5 sigma``, so they are in [-1, 1] as a model takes them. Sigma
    is divided alike. Point i belongs to mode ``i % K``, so all modes have the same weight.

    Args:
        sigma: standard deviation of each normal in each direction, in the units of the centres.
        points: number of training points; 2,500 others validate and 2,500 test.
        loading: ``batch_size`` (64), ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``. The points do not depend
            on the seed.

    Raises:
        InputError: a number is out of range, or two modes overlap: they are not more than six sigma apart.
    """

    def __init__(self, sigma: PositiveFloat, points: SampleCount = 100_000, **loading: Any) -> None:
        self.sigma, self.points = sigma, points
        super().__init__((2,), len(self.centres()), **loading)
        self.modes()  # refuses those that overlap

    @abstractmethod
    def centres(self) -> Tensor:
        """The centres of the normals, [K, 2]."""

    def modes(self) -> NormalModes:
        """The modes, in the units of the batches."""
        scale = self.centres().abs().max().item() + MARGIN * self.sigma
        return NormalModes(self.centres() / scale, self.sigma / scale)

    def splits(self) -> Splits:
        modes, g = self.modes(), torch.Generator().manual_seed(_SEED)

        def draw(n: int) -> InMemory:
            y = torch.arange(n) % modes.count
            noise = torch.randn(n, 2, generator=g, dtype=torch.float64)
            return InMemory(Points((modes.centres[y] + modes.sigma * noise).float(), y))

        held_out = draw(HELD_OUT), draw(HELD_OUT)  # first, so that they do not depend on the number of training points
        return draw(self.points), *held_out


class Ring(NormalMixture):
    """Points around eight places on a circle, for counting modes. Batches are ``Points``; needs no download.

    Args:
        count: number of modes K, at the angles ``2 pi k / K``.
        radius: of the circle.
        sigma: standard deviation of each normal in each direction.
        options: ``points`` (100,000), ``batch_size``, ``num_workers`` and ``seed`` of :class:`NormalMixture`.

    Raises:
        InputError: fewer than 2 modes, a number out of range, or modes that overlap.
    """

    def __init__(self, count: Size = 8, radius: PositiveFloat = 1.0, sigma: PositiveFloat = 0.01, **options: Any) -> None:
        if count < 2:
            raise InputError(f"a ring has 2 modes or more, not {count}")
        self.count, self.radius = count, radius
        super().__init__(sigma, **options)

    def centres(self) -> Tensor:
        return ring(self.count, self.radius)


class Grid(NormalMixture):
    """Points around 25 places of a square grid, for counting modes. Batches are ``Points``; needs no download.

    Args:
        side: modes along each side; there are ``side * side``.
        spacing: distance between neighbouring modes.
        sigma: standard deviation of each normal in each direction.
        options: ``points`` (100,000), ``batch_size``, ``num_workers`` and ``seed`` of :class:`NormalMixture`.

    Raises:
        InputError: fewer than 2 modes along a side, a number out of range, or modes that overlap.
    """

    def __init__(self, side: Size = 5, spacing: PositiveFloat = 2.0, sigma: PositiveFloat = 0.05, **options: Any) -> None:
        if side < 2:
            raise InputError(f"a grid has 2 modes or more along each side, not {side}")
        self.side, self.spacing = side, spacing
        super().__init__(sigma, **options)

    def centres(self) -> Tensor:
        return grid(self.side, self.spacing)
