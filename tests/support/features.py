"""Features with known moments, and a check that a metric leaves the global random streams alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics.statistics import FeatureSpec, Statistics

SPEC = FeatureSpec("tiny", 5, "sha256:abc", "bilinear 8", "none", "numbers", "train")


def normal(n: int, d: int, seed: int, mean: float = 0.0) -> Tensor:
    """`n` rows of `d` independent normals, float64."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + mean


def gathered(x: Tensor, sizes: list[int], keep: int = 0, seed: int = 0, indices: Tensor | None = None) -> Statistics:
    """Statistics of `x`, given in batches of these sizes."""
    found = Statistics(replace(SPEC, dimension=x.shape[1]), keep, seed)
    for part, where in zip(x.split(sizes), [None] * len(sizes) if indices is None else indices.split(sizes), strict=True):
        found.update(part, where)
    return found


def global_streams_untouched(_one_stream: None) -> Iterator[None]:
    """A fixture's function: nothing draws from the global generators of torch and NumPy."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
