"""Orders and augmentation are functions of seed, epoch and index."""

import pytest
import torch
from support.batches import epoch_order

from ganzoo.data import sampling
from ganzoo.data.batches import LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.sampling import Augmented, EpochSampler, identity


def test_ranks_are_disjoint_and_in_step():
    shares = [epoch_order(EpochSampler(11, 0, num_replicas=2, rank=rank), 3) for rank in (0, 1)]
    assert [len(share) for share in shares] == [5, 5]
    assert len({key for share in shares for key in share}) == 10
    assert {epoch for share in shares for epoch, _ in share} == {3}


def test_a_set_that_is_not_augmented_begins_no_random_numbers(monkeypatch):
    """They cost more than the image."""
    monkeypatch.setattr("ganzoo.data.sampling.image_rng", lambda *_: pytest.fail("begun"))
    items = InMemory(LabelledImages(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), torch.arange(5)))
    plain = Augmented(items, identity, 0)
    assert [int(plain[3, i].x) for i in range(5)] == [int(plain[i].y) for i in range(5)] == list(range(5))


def test_an_epoch_is_the_permutation_in_parts(monkeypatch):
    monkeypatch.setattr(sampling, "_CHUNK", 3)
    whole = sampling.order_rng(5, 2).permutation(17).tolist()
    for done in (0, 1, 3, 7, 8):
        shares = []
        for rank in (0, 1):
            sampler = EpochSampler(17, 5, num_replicas=2, rank=rank)
            sampler.begin_at(2, done)
            shares.append([index for _, index in sampler])
        assert shares == [whole[:16:2][done:], whole[1:16:2][done:]]
    sampler.set_epoch(3)  # the next epoch begins at its beginning
    assert [index for _, index in sampler] == sampling.order_rng(5, 3).permutation(17).tolist()[1:16:2]
