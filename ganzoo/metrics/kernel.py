"""Kernel distance, KID on Inception's features (Binkowski et al. 2018, section 4; Gretton et al. 2012, eq. 3)."""

from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.statistics import checked_pair

ROWS = 1000  # at a time


class KernelDistance(NamedTuple):
    """Mean over the subsets, and their standard deviation (with the number of subsets, not less one).

    Subsets overlap, so the deviation over the root of their number is no standard error of the mean.
    """

    mean: float
    std: float


def squared_mmd(real: Tensor, fake: Tensor) -> float:
    """Unbiased ``MMD^2`` of all the features, with the kernel ``k(x, y) = (x y / d + 1)^3``.

    ``mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)``.

    Args:
        real: [N, d], N 2 or above.
        fake: [M, d], M 2 or above.

    Returns:
        float64; its mean is 0 for two sets of one distribution, so that it is below 0 about as often as not.

    Raises:
        InputError: fewer than two features, of two widths, NaN or infinite values.
    """
    return _squared_mmd(*checked_pair(real, fake, least=2))


def kernel_distance(
    real: Tensor, fake: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """KID: :func:`squared_mmd` of random subsets, each drawn without putting back.

    The subsets are those that torchmetrics draws, from the global stream, after ``torch.manual_seed(seed)``; it computes in
    the features' own type, this in float64.

    Args:
        real: [N, d].
        fake: [M, d].
        subsets: how many.
        subset_size: from 2 to the smaller of N and M.
        seed: of the draws; the global random stream is left alone.

    Raises:
        InputError: a subset that is larger than a set, and as :func:`squared_mmd`.
    """
    x, y = checked_pair(real, fake, least=2)
    if subsets < 1 or not 2 <= subset_size <= min(len(x), len(y)):
        raise InputError(
            f"a kernel distance of {subsets} subsets of {subset_size}: give 1 subset or more, of 2 to "
            f"{min(len(x), len(y))} images (real {len(x)}, fake {len(y)})"
        )
    if subset_size == len(x) == len(y):
        subsets = 1  # each would be all images in another order
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(subsets):
        i, j = (torch.randperm(len(each), generator=g)[:subset_size].to(each.device) for each in (x, y))
        found.append(_squared_mmd(x[i], y[j]))
    values = torch.tensor(found, dtype=torch.float64)
    return KernelDistance(values.mean().item(), values.std(correction=0).item())


def _squared_mmd(x: Tensor, y: Tensor) -> float:
    n, m = len(x), len(y)
    return ((_sum(x, x) - _diagonal(x)) / (n * (n - 1)) + (_sum(y, y) - _diagonal(y)) / (m * (m - 1))).item() - (
        2 * _sum(x, y) / (n * m)
    ).item()


def _sum(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([_kernel(part @ y.T, x.shape[1]).sum() for part in x.split(ROWS)]).sum()


def _diagonal(x: Tensor) -> Tensor:
    return _kernel(x.square().sum(1), x.shape[1]).sum()


def _kernel(products: Tensor, d: int) -> Tensor:
    k = products / d + 1
    return k * k * k  # pow takes ten times as long
