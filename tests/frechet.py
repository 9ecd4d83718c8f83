"""The Frechet distance of two sets of features."""

import numpy as np


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the normals fitted to two sets of features [N, d]."""
    # the trace of the root of C_a C_b, through a symmetric matrix with the same eigenvalues
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
