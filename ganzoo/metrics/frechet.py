"""Frechet distance between two sets of features; FID, when the features are Inception's.

The distance of the normals fitted to them (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).
"""

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics.statistics import ALL, SAME_FEATURES, Statistics


def frechet_distance(a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> float:
    """``|m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))``, of features.

    Args:
        a: float [N, d] features of one set, N above d for a covariance of full rank.
        b: float [M, d] of the other.

    Returns:
        As :func:`frechet_of_statistics`.

    Raises:
        InputError: fewer than two features, of two widths, or NaN or infinite ones.
    """
    return frechet_of_statistics(_statistics(a), _statistics(b))


def _statistics(features: np.ndarray | Tensor) -> Statistics:
    # more than d of them are of no further use
    return Statistics.of(features, keep=ALL if len(features) < features.shape[-1] else 0)


def frechet_of_statistics(a: Statistics, b: Statistics) -> float:
    """The same, of statistics.

    With C = F F^T of each set, the trace of the root is the sum of the singular values of ``F_a^T F_b`` (the eigenvalues of
    ``C_a C_b`` are their squares). Where there are fewer images than d in both and their features were kept, F is the
    centred features, and the problem one of N x M. Else they are the roots of the eigenvalues of ``F_a^T C_b F_a``, N x N if
    there are few in one of the sets, d x d if not.

    Args:
        a: of one set.
        b: of the other, from the same extractor.

    Returns:
        0 or above; it is right to about 1e-15 of the traces, so that of nearly equal sets digits are lost.

    Raises:
        InputError: fewer than two images, or features of two kinds (it names what differs).
    """
    a.spec.refuse_unlike(b.spec, SAME_FEATURES, "a Frechet distance of unlike features")
    cov_a, cov_b = a.covariance, b.covariance.to(a.mean.device)
    means = (a.mean - b.mean.to(a.mean.device)).square().sum()
    spread = cov_a.trace() + cov_b.trace() - 2 * _trace_of_root(a, b)
    # it is nought or above; a little below only by the rounding of three numbers that cancel
    return (means + spread.clamp_min(0)).item()


def _trace_of_root(a: Statistics, b: Statistics) -> Tensor:
    device = a.mean.device
    if _few(a) and _few(b):
        return torch.linalg.svdvals(_centred(a) @ _centred(b).T.to(device)).sum()
    if _rank(b) < _rank(a):
        a, b = b, a
    half = _factor(a).to(device)
    squares = torch.linalg.eigvalsh(half.T @ b.covariance.to(device) @ half)
    return squares.clamp_min(0).sqrt().sum()


def _few(s: Statistics) -> bool:
    return s.whole and s.count < s.spec.dimension


def _rank(s: Statistics) -> int:
    """The highest that the covariance can have."""
    return min(s.count - 1, s.spec.dimension)


def _centred(s: Statistics) -> Tensor:
    """float64 [n, d], X with C = X^T X."""
    return (s.features.to(s.mean.device, torch.float64) - s.mean) / (s.count - 1) ** 0.5


def _factor(s: Statistics) -> Tensor:
    """F with C = F F^T, float64 [d, rank]."""
    if _few(s):
        x = _centred(s)
        values, vectors = torch.linalg.eigh(x @ x.T)
        columns = x.T @ vectors
    else:
        values, vectors = torch.linalg.eigh(s.covariance)
        columns = vectors * values.clamp_min(0).sqrt()
    # beyond the rank (of copies, and of features that are always 0) there is only rounding, the root of which would be large
    return columns[:, values > len(values) * torch.finfo(values.dtype).eps * values[-1]]
