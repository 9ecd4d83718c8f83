"""Two measures of samples: Parzen-window log-likelihood (Goodfellow et al. 2014, section 5) and the Frechet distance."""

from math import log, pi

import numpy as np
import torch
from torch import Tensor


def parzen(points: Tensor, samples: Tensor, sigma: float) -> Tensor:
    """Log-density in nats at ``points`` [N, d] under normals of deviation ``sigma`` at each of ``samples`` [M, d]."""
    exponents = -torch.cdist(points.double(), samples.double()).square() / (2 * sigma**2)
    return exponents.logsumexp(1) - log(len(samples)) - points.shape[1] * log(sigma * (2 * pi) ** 0.5)


def best_sigma(validation: Tensor, samples: Tensor, sigmas: list[float]) -> float:
    """The width under which held-out points, that judge nothing else, are likeliest."""
    return max(sigmas, key=lambda sigma: parzen(validation, samples, sigma).mean().item())


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the normals fitted to two sets of features [N, d]."""
    # the trace of the root of C_a C_b, through a symmetric matrix with the same eigenvalues
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
