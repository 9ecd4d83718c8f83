"""Finds the training images nearest to samples, from which they might be copied."""

from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import manifold
from ganzoo.metrics.statistics import checked


class Neighbours(NamedTuple):
    """Of each sample, the nearest first.

    Attributes:
        indices: int64 [N, k], into the training set.
        distances: float64 [N, k], Euclidean.
    """

    indices: Tensor
    distances: Tensor


def nearest(samples: Tensor, training: Tensor, k: int = 1) -> Neighbours:
    """What a sample might be copied from (Goodfellow et al. 2014, figure 2): its nearest images of the training set.

    Args:
        samples: [N, ...], images or features.
        training: [M, ...] of the same shape and units, any type; a part of it at a time becomes float64.
        k: neighbours, 1 to M; of equal distances, any.

    Raises:
        InputError: a k that is not from 1 to M, images of two shapes, NaN or infinite values.
    """
    if samples.shape[1:] != training.shape[1:]:
        raise InputError(
            f"samples have the shape {tuple(samples.shape[1:])} and the training set {tuple(training.shape[1:])}: resize one"
        )
    if not 1 <= k <= len(training):
        raise InputError(f"{k} nearest neighbours in a training set of {len(training)}: give 1 to {len(training)}")
    x = checked(samples.flatten(1), "samples")
    best = x.new_full((len(x), k), torch.inf)
    indices = torch.zeros(len(x), k, dtype=torch.int64, device=x.device)
    many = max(k, manifold.VALUES // max(len(x), x.shape[1]))
    for start in range(0, len(training), many):
        part = checked(training[start : start + many].flatten(1).to(x.device), "training set")
        for rows, squares in manifold.squared_distances(x, part):
            found, places = squares.topk(min(k, len(part)), largest=False)
            best[rows], chosen = torch.cat([best[rows], found], 1).topk(k, largest=False)
            indices[rows] = torch.cat([indices[rows], places + start], 1).gather(1, chosen)
    # of those few once more from the differences, so that a copy is at 0 exactly
    for i, row in enumerate(indices):
        there = training[row.to(training.device)].flatten(1).to(x.device, torch.float64)
        best[i], order = (there - x[i]).square().sum(1).sqrt().sort()
        indices[i] = row[order]
    return Neighbours(indices, best)
