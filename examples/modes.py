"""Counts the modes of a known mixture that a generator's samples have, on the toy data of many papers.

Rings and grids of normals in the plane: train a generator on them, sample it, and call ``modes(samples, ring(), 0.01)``.
"""

from math import cos, log, pi, sin
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import manifold
from ganzoo.metrics.statistics import checked_pair


class Modes(NamedTuple):
    """How samples spread over known modes.

    Attributes:
        found: modes with a sample of high quality.
        high_quality: the share of samples within three deviations of a mode.
        divergence: Jensen-Shannon divergence, in nats, of how all samples spread over their nearest modes from evenly.
        missing: the modes without a sample of high quality, by index.
    """

    found: int
    high_quality: float
    divergence: float
    missing: tuple[int, ...]


def ring(modes: int = 8, radius: float = 1.0) -> Tensor:
    """Centres at the angles ``2 pi k / modes``, float64 [modes, 2]; with normals of 0.01 round them."""
    angles = [2 * pi * k / modes for k in range(modes)]
    return radius * torch.tensor([[cos(a), sin(a)] for a in angles], dtype=torch.float64)


def grid(side: int = 5, spacing: float = 2.0) -> Tensor:
    """Centres of a square round the origin, float64 [side * side, 2]; with normals of 0.05 round them."""
    places = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return torch.cartesian_prod(places, places)


def modes(samples: Tensor, centres: Tensor, sigma: float, deviations: float = 3.0) -> Modes:
    """Of samples of a mixture of equal normals ``N(centre, sigma^2 I)`` with equal weights.

    A sample belongs to the nearest centre, and is of high quality if no further than ``deviations sigma`` from it. Samples
    of the mixture itself in the plane, of three deviations, are so with probability ``1 - exp(-9/2)``, 98.9 %. 2,500 samples
    are usual.

    Args:
        samples: [N, d].
        centres: [K, d], further from each other than twice that.
        sigma: above 0.
        deviations: above 0.

    Raises:
        InputError: no samples, samples of another width, NaN or infinite values.
    """
    x, mu = checked_pair(samples, centres.to(samples.device))
    squares, nearest = (
        torch.cat(each) for each in zip(*(block.min(1) for _, block in manifold.squared_distances(x, mu)), strict=True)
    )
    good = squares.sqrt() <= deviations * sigma
    seen = nearest[good].bincount(minlength=len(mu)) > 0
    spread = nearest.bincount(minlength=len(mu))
    return Modes(
        found=int(seen.sum()),
        high_quality=good.double().mean().item(),
        divergence=jensen_shannon(spread, torch.ones_like(spread)),
        missing=tuple((~seen).nonzero().flatten().tolist()),
    )


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """``KL(p || m) / 2 + KL(q || m) / 2`` with ``m = (p + q) / 2``, of two histograms (Lin 1991).

    Args:
        p: [K] counts or weights, 0 or above, not all 0.
        q: [K], likewise.

    Returns:
        In [0, log 2], nats.

    Raises:
        InputError: of two lengths, an empty one, or below 0.
    """
    p, q = p.double(), q.double()
    if p.shape != q.shape or not (p.sum() > 0 and q.sum() > 0) or (p < 0).any() or (q < 0).any():
        raise InputError("histograms to be compared need as many places, values of 0 or above, and a sum above 0")
    p, q = p / p.sum(), q / q.sum()
    entropy = [torch.special.entr(each).sum() for each in ((p + q) / 2, p, q)]
    return (entropy[0] - (entropy[1] + entropy[2]) / 2).clamp(0, log(2)).item()
