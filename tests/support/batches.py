"""Comparing batches, and the order of an epoch."""

import torch

from ganzoo.data.sampling import EpochSampler


def same(a, b) -> bool:
    return all(torch.equal(left, right) for left, right in zip(a, b, strict=True))


def epoch_order(sampler: EpochSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)
