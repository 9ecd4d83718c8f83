"""Inception score (Salimans et al. 2016, section 4), from a classifier's logits."""

from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.domains import entropies
from ganzoo.metrics.statistics import checked

PART = 4096  # logits that are looked over at a time


class InceptionScore(NamedTuple):
    """Mean over the splits, and their standard deviation (with the number of splits, not less one)."""

    mean: float
    std: float


def inception_score(logits: Tensor, splits: int = 10, seed: int | None = 0) -> InceptionScore:
    """``exp(mean_x KL(p(y|x) || p(y)))`` of each split, of a classifier's logits.

    That is ``exp(H(mean p) - mean H(p))``. The score of a split of few images is too low (p(y) is then fitted to them), so
    splits and count belong to the metric: it is usual to take 50,000 images and 10 splits.

    Images are shuffled and split at ``i N // splits``. The first released code does not shuffle; torch-fidelity does so
    with numpy's generator of seed 2020; torchmetrics draws from the global stream, splits into chunks of one size and a
    rest, and gives the standard deviation with splits - 1. Where splits divide N, ours are those of torchmetrics after
    ``torch.manual_seed(seed)``.

    Args:
        logits: [N, K].
        splits: S, 1 to N.
        seed: of the shuffling, None for the order in which they come. The global random stream is left alone.

    Returns:
        In [1, K].

    Raises:
        InputError: fewer images than splits, NaN or infinite logits.
    """
    for part in logits.split(PART) if logits.ndim else (logits,):
        checked(part, "logits")
    n = len(logits)
    if not 1 <= splits <= n:
        raise InputError(f"an Inception score of {splits} splits needs as many images, and there are {n}")
    order = torch.arange(n) if seed is None else torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    scores = []
    for i in range(splits):  # each in float64 by itself: all together are a gigabyte
        p = logits[order[i * n // splits : (i + 1) * n // splits].to(logits.device)].double().softmax(1)
        scores.append((entropies(p.mean(0)) - entropies(p).mean()).exp())
    found = torch.stack(scores)
    return InceptionScore(found.mean().item(), found.std(correction=0).item())
