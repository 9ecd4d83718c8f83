"""Computes the Parzen-window log-likelihood, the metric of the first GAN papers (Goodfellow et al. 2014, section 5).

A normal distribution of one width is placed at each sample; the metric is the mean log density of held-out images. It
differs from what a person sees: noise in a sample costs little, a sharp image in the wrong place much. In high dimensions
its variance is large. It is here to compare with the values in those papers.
"""

from collections.abc import Sequence
from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError

SIGMAS = tuple(np.logspace(-1, 0, 10).tolist())
"""The widths that the released code tries, for pixels in [0, 1]."""

SAMPLES, VALIDATION, TEST = 10_000, 1_000, 10_000
"""Numbers of images in the released code for MNIST: samples, images that choose the width, test images."""

PART = 500  # points whose distances to all samples are in memory at once


class LogLikelihood(NamedTuple):
    """A log-likelihood in nats per image.

    Attributes:
        mean: the mean over the points.
        error: the standard error of the mean: the points' standard deviation (divisor n, as numpy's) over the root of n.
        sigma: the chosen width.
        edge: whether the chosen width is the smallest or largest of several that were tried, so that another may be better.
    """

    mean: float
    error: float
    sigma: float
    edge: bool = False


def log_density(points: Tensor, samples: Tensor, sigma: float) -> Tensor:
    """Computes ``log 1/M sum_j N(x; s_j, sigma^2 I)`` of each point, in nats.

    Args:
        points: points x [N, d].
        samples: samples s [M, d].
        sigma: the width of the window, above 0, in the points' units.

    Returns:
        Log densities, float64 [N].

    Raises:
        InputError: no points, no samples, two values of d, NaN or infinite values, or a sigma that is not above 0.
    """
    return _log_densities(points, samples, [sigma])[0]


def _log_densities(points: Tensor, samples: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Log densities for all widths, float64 [len(sigmas), N], from one pass over the distances."""
    x, s = _checked("points", points), _checked("samples", samples)
    if x.shape[1] != s.shape[1]:
        raise InputError(f"points have {x.shape[1]} values and samples {s.shape[1]}: resize one")
    if not sigmas or not min(sigmas) > 0:
        raise InputError(f"the widths of Parzen windows are above 0, not {list(sigmas)}")
    found = []
    for part in x.split(PART):
        squares = torch.cdist(part, s).square()
        found.append(torch.stack([(-squares / (2 * sigma**2)).logsumexp(1) for sigma in sigmas]))
    constants = [log(len(s)) + x.shape[1] * log(sigma * sqrt(2 * pi)) for sigma in sigmas]
    return torch.cat(found, 1) - torch.tensor(constants, dtype=torch.float64, device=x.device)[:, None]


def _checked(name: str, given: Tensor) -> Tensor:
    if given.ndim != 2 or not given.numel():
        raise InputError(f"{name} are {list(given.shape)}: Parzen windows take [N, d], each image flattened")
    bad = int((~given.isfinite().all(1)).sum())
    if bad:
        raise InputError(f"{name}: {bad} of {len(given)} are not finite; look at the images")
    return given.detach().double()


def log_likelihood(samples: Tensor, validation: Tensor, test: Tensor, sigmas: Sequence[float] = SIGMAS) -> LogLikelihood:
    """Computes the mean log density of test points, with the width that gives the validation points the largest one.

    Args:
        samples: the model's samples [M, d], pixels in [0, 1]; M = 10,000 in the paper.
        validation: held-out points [N, d], used only to choose the width.
        test: other held-out points [N', d].
        sigmas: the widths to choose from, each above 0.

    Raises:
        InputError: the errors of :func:`log_density`.
    """
    best = int(_log_densities(validation, samples, sigmas).mean(1).argmax())
    found = log_density(test, samples, sigmas[best])
    edge = len(sigmas) > 1 and sigmas[best] in (min(sigmas), max(sigmas))
    return LogLikelihood(found.mean().item(), found.std(correction=0).item() / sqrt(len(found)), sigmas[best], edge)


def protocol(samples: Tensor, validation: Tensor, test: Tensor, counts: Sequence[int] | None = None) -> LogLikelihood:
    """Computes the log-likelihood by the protocol of 2014, as in the released code; the paper's 225 +- 2 on MNIST is one.

    The model draws 10,000 samples. Of ten widths from 0.1 to 1, the first 1,000 validation images (numbers 50,001 to 51,000
    of MNIST's training file) choose the one of the largest mean log density. The result is the mean over the 10,000 test
    images, and its standard error. The estimate rises with the number of samples, so other counts are another metric.

    Args:
        samples: the model's samples [10000, ...], pixels in [0, 1]; flattened here.
        validation: images that choose the width [1000, ...], pixels in [0, 1].
        test: test images [10000, ...], pixels in [0, 1].
        counts: the numbers of samples, validation and test images, to deviate from the protocol on purpose; report them with
            the result.

    Raises:
        InputError: the counts differ, a pixel is outside of [0, 1], or an error of :func:`log_density`.
    """
    given = {"samples": samples, "validation images": validation, "test images": test}
    for (name, images), wanted in zip(given.items(), counts or (SAMPLES, VALIDATION, TEST), strict=True):
        if len(images) != wanted:
            raise InputError(f"{len(images)} {name}: the protocol has {wanted}. Give as many, or other `counts`")
        if images.dtype == torch.uint8 or not (images.min() >= 0 and images.max() <= 1):
            raise InputError(
                f"{name} are {images.dtype} from {float(images.min()):g} to {float(images.max()):g}: the protocol's "
                "pixels are in [0, 1], which are (x + 1) / 2 of images in [-1, 1]"
            )
    return log_likelihood(samples.flatten(1), validation.flatten(1), test.flatten(1))
