"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020): quality and variety apart.

The data's manifold is taken to be the union of balls round the real images' features, each as wide as the way to its k-th
nearest other; that of a generator likewise, round its samples.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.statistics import checked_pair

VALUES = 2**24
"""Distances in memory at a time: 128 MiB of them."""

ROUNDING = 1e-9  # a distance this much beyond the radius, relatively, is on the ball: an equal one, of other rounding


class Manifold(NamedTuple):
    """Shares of images; density is a mean and may be above 1.

    Attributes:
        precision: of the samples that are in a ball of the real images.
        recall: of the real images that are in a ball of the samples.
        density: in how many balls of the real images a sample is, over k; its mean is 1 for samples of the data's own
            distribution.
        coverage: of the real images' balls that hold a sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: Tensor, fake: Tensor, k: int = 3, k_density: int = 5) -> Manifold:
    """Precision, recall, density and coverage, of Euclidean distances.

    With real features x_i, fake ones y_j and r_k(.) the distance to the k-th nearest other of the own set: precision is the
    mean over j of ``any_i |y_j - x_i| <= r_k(x_i)``, recall that over i of ``any_j |x_i - y_j| <= r_k(y_j)``; density
    ``1 / (k M) sum_ij [|y_j - x_i| <= r_k(x_i)]``, coverage the mean over i of ``any_j |y_j - x_i| <= r_k(x_i)``. All fall
    or rise with the number of images, which so belongs to the metrics.

    The released code of the second paper, as we remember it, asks for less than r: a difference for equal distances only.

    Args:
        real: [N, d].
        fake: [M, d].
        k: of precision and recall, 3 in the paper; below N and M.
        k_density: of density and coverage, 5 in the paper; below N and M.

    Raises:
        InputError: a k that is not below N and M, features of two widths, NaN or infinite values.
    """
    x, y = checked_pair(real, fake, least=2)
    few = min(len(x), len(y))
    if not (1 <= k < few and 1 <= k_density < few):
        raise InputError(f"neighbours k {k} and {k_density}: give 1 to {few - 1} (real images {len(x)}, fake {len(y)})")
    (real_k, real_density), (fake_k,) = (each * (1 + ROUNDING) for each in (radii(x, k, k_density), radii(y, k)))
    precise, within = 0, 0
    recalled, covered = x.new_zeros(len(x), dtype=torch.bool), x.new_zeros(len(x), dtype=torch.bool)
    for rows, squares in squared_distances(y, x):
        precise += (squares <= real_k).any(1).sum().item()
        recalled |= (squares <= fake_k[rows, None]).any(0)
        inside = squares <= real_density
        within += inside.sum().item()
        covered |= inside.any(0)
    return Manifold(
        precise / len(y), recalled.double().mean().item(), within / (k_density * len(y)), covered.double().mean().item()
    )


def radii(x: Tensor, *ks: int) -> Tensor:
    """Squared distance to the k-th nearest other.

    Args:
        x: float64 [N, d].
        ks: each from 1 to N - 1.

    Returns:
        float64 [len(ks), N].
    """
    found = []
    for rows, squares in squared_distances(x, x):
        squares.diagonal(rows.start).fill_(torch.inf)  # it is no neighbour of itself
        found.append(squares.topk(max(ks), largest=False).values[:, [k - 1 for k in ks]])
    return torch.cat(found).T


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Of each x to each y, a few rows at a time.

    Args:
        x: float64 [N, d].
        y: float64 [M, d].

    Yields:
        Which rows of x, and float64 [rows, M].
    """
    # what is far from the origin would cancel; and a difference of whole numbers is still a whole number
    x, y = x - y[0], y - y[0]
    squares = y.square().sum(1)
    rows = max(1, VALUES // len(y))
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        found = torch.addmm(squares, part, y.T, alpha=-2).add_(part.square().sum(1)[:, None])
        yield slice(start, start + len(part)), found.clamp_min_(0)
