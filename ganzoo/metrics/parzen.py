"""Parzen-window log-likelihood, by which the first papers compared their samples (Goodfellow et al. 2014, section 5).

A normal of one width is put at each of a model's samples, and held-out points are judged by the density that results. The
estimate forgives what a person sees at once (speckle costs little, a sharp picture in the wrong place much) and varies much
in high dimensions; it is here to be compared with what those papers print.
"""

from collections.abc import Sequence
from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SIGMAS = tuple(np.logspace(-1, 0, 10).tolist())
"""The widths that the released code tries, for pixels in [0, 1]."""


class LogLikelihood(NamedTuple):
    """In nats a picture: the mean over the points, its standard error, and the width that was chosen."""

    mean: float
    error: float
    sigma: float


def log_density(points: Tensor, samples: Tensor, sigma: float) -> Tensor:
    """``log 1/M sum_j N(x; s_j, sigma^2 I)`` of each point, in nats.

    Args:
        points: [N, d].
        samples: [M, d].
        sigma: above 0, in the points' units.

    Returns:
        float64 [N].
    """
    samples = samples.double()
    constant = log(len(samples)) + points.shape[1] * log(sigma * sqrt(2 * pi))
    # in parts, so that a part's distances to all samples take little memory
    parts = (torch.cdist(part.double(), samples).square() for part in points.split(500))
    return torch.cat([(-squares / (2 * sigma**2)).logsumexp(1) for squares in parts]) - constant


def log_likelihood(samples: Tensor, validation: Tensor, test: Tensor, sigmas: Sequence[float] = SIGMAS) -> LogLikelihood:
    """The test points' mean log-density, with the width under which the validation points are likeliest.

    Args:
        samples: [M, d] of the model, M = 10,000 in the paper; pixels in [0, 1].
        validation: [N, d], held-out points that judge nothing else.
        test: [N', d].
        sigmas: widths to choose from.
    """
    sigma = max(sigmas, key=lambda width: log_density(validation, samples, width).mean().item())
    found = log_density(test, samples, sigma)
    return LogLikelihood(found.mean().item(), found.std().item() / sqrt(len(found)), sigma)
