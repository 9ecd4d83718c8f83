"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020): quality and variety apart.

The data's manifold is estimated by balls around the real images' features. The radius of a ball is the distance to the k-th
nearest other real image. The generator's manifold is estimated by such balls around its samples.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.statistics import checked_pair

VALUES = 2**24
"""Number of distances in memory at a time: 128 MiB."""

ROUNDING = 1e-9  # relative: a distance that exceeds the radius by no more is equal to it, but for rounding


class Manifold(NamedTuple):
    """Precision, recall and coverage are shares of images, in [0, 1]; density is a mean and may be above 1.

    Attributes:
        precision: the share of samples inside a ball of the real images.
        recall: the share of real images inside a ball of the samples.
        density: the mean number of real images' balls that a sample is inside of, divided by k; expected to be 1 for samples
            of the data's own distribution.
        coverage: the share of real images whose ball has a sample inside.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: Tensor, fake: Tensor, k: int = 3, k_density: int = 5) -> Manifold:
    """Computes precision, recall, density and coverage from Euclidean distances.

    Real features are x_i, generated ones y_j, and r_k is the distance to the k-th nearest other feature of the same set.
    Precision is the mean over j of ``any_i |y_j - x_i| <= r_k(x_i)``, recall the mean over i of
    ``any_j |x_i - y_j| <= r_k(y_j)``. Density is ``1 / (k M) sum_ij [|y_j - x_i| <= r_k(x_i)]``, coverage the mean over i of
    ``any_j |y_j - x_i| <= r_k(x_i)``. All four depend on the number of images: compare only values of equal numbers.

    The released code of the second paper, as we remember it, compares with ``<``: that differs for equal distances only.

    Args:
        real: features of real images [N, d].
        fake: features of generated images [M, d].
        k: the neighbour of precision and recall, 3 in the paper; below N and M.
        k_density: the neighbour of density and coverage, 5 in the paper; below N and M.

    Raises:
        InputError: a k is not below N and M, the two sets differ in d, or a value is NaN or infinite.
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
    """Computes the squared distance of each feature to its k-th nearest other feature.

    Args:
        x: features, float64 [N, d].
        ks: the neighbours k, each from 1 to N - 1.

    Returns:
        Squared distances, float64 [len(ks), N].
    """
    found = []
    for rows, squares in squared_distances(x, x):
        squares.diagonal(rows.start).fill_(torch.inf)  # it is no neighbour of itself
        found.append(squares.topk(max(ks), largest=False).values[:, [k - 1 for k in ks]])
    return torch.cat(found).T


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Computes the squared distance of each x to each y, some rows of x at a time.

    Args:
        x: features, float64 [N, d].
        y: features, float64 [M, d].

    Yields:
        A slice of the rows of x, and their squared distances, float64 [rows, M].
    """
    # far from the origin the sum below would cancel; whole numbers stay whole numbers
    x, y = x - y[0], y - y[0]
    squares = y.square().sum(1)
    rows = max(1, VALUES // len(y))
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        found = torch.addmm(squares, part, y.T, alpha=-2).add_(part.square().sum(1)[:, None])
        yield slice(start, start + len(part)), found.clamp_min_(0)
