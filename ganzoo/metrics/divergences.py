"""Kullback-Leibler and Jensen-Shannon divergence of two histograms, in nats."""

from math import log

import torch
from torch import Tensor

from ganzoo.errors import InputError


def kullback_leibler(p: Tensor, q: Tensor) -> float:
    """Computes ``KL(p || q) = sum p log(p / q)``; infinite where q is 0 and p is not. It is not symmetric.

    Args:
        p: [K] counts or weights, at least 0, not all 0.
        q: [K], likewise.

    Returns:
        At least 0, in nats.

    Raises:
        InputError: the histograms differ in length, are empty, or have a value below 0.
    """
    p, q = _normalised(p, q)
    return max(0.0, (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum().item())


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Computes ``KL(p || m) / 2 + KL(q || m) / 2`` with ``m = (p + q) / 2`` (Lin 1991). It is symmetric.

    Args:
        p: [K] counts or weights, at least 0, not all 0.
        q: [K], likewise.

    Returns:
        In [0, log 2], in nats; log 2 where the two do not overlap.

    Raises:
        InputError: the histograms differ in length, are empty, or have a value below 0.
    """
    p, q = _normalised(p, q)
    entropy = [torch.special.entr(each).sum() for each in ((p + q) / 2, p, q)]
    return (entropy[0] - (entropy[1] + entropy[2]) / 2).clamp(0, log(2)).item()


def _normalised(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    p, q = p.double(), q.double()
    if p.shape != q.shape or not (p.sum() > 0 and q.sum() > 0) or (p < 0).any() or (q < 0).any():
        raise InputError("histograms that are compared have the same length, values of at least 0 and a sum above 0")
    return p / p.sum(), q / q.sum()
