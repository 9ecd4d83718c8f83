"""Two sets that are not paired: orders and who meets whom."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset, default_collate

from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.datasets import Gathered, InMemory, Mapped, UnpairedDataset, Zipped, collate_gathered
from ganzoo.data.sampling import Augmented, identity
from ganzoo.data.transforms import random_flip
from ganzoo.errors import InputError


def pair_and_noise(pair, rng: np.random.Generator):
    return pair, int(rng.integers(1 << 60))


@pytest.mark.parametrize(("n", "m"), [(10, 4), (4, 10), (7, 7), (5, 1)])
def test_an_epoch_goes_through_the_longer_one_and_equally_often_through_the_other(n, m):
    dataset = UnpairedDataset([f"x{i}" for i in range(n)], [f"y{i}" for i in range(m)], pair_and_noise, seed=3)
    assert len(dataset) == max(n, m)
    for epoch in range(4):
        pairs = [dataset[epoch, index][0] for index in range(len(dataset))]
        for names, count in (([x for x, _ in pairs], n), ([y for _, y in pairs], m)):
            times = Counter(names)
            assert len(times) == count
            assert max(times.values()) - min(times.values()) <= 1
            assert all(name[0] == names[0][0] for name in names)


def test_who_meets_whom_is_new_each_epoch_and_a_matter_of_chance():
    dataset = UnpairedDataset(range(12), range(12), pair_and_noise, seed=0)
    met = Counter(dataset[epoch, index][0] for epoch in range(600) for index in range(12))
    # each of 144 meetings is due 50 times
    assert len(met) == 144
    assert max(met.values()) < 85
    assert min(met.values()) > 22
    # and what one x meets does not tell what the next one meets, but for the one that is gone
    steps = Counter((dataset[epoch, 1][0][1] - dataset[epoch, 0][0][1]) % 12 for epoch in range(600))
    assert len(steps) == 11
    assert max(steps.values()) < 90


def test_the_orders_depend_on_seed_and_epoch_alone():
    first, again, other = (UnpairedDataset(range(9), range(5), pair_and_noise, seed) for seed in (1, 1, 2))

    def epoch_of(dataset, epoch, indices=range(9)):
        return [dataset[epoch, index] for index in indices]

    wanted = [epoch_of(first, epoch) for epoch in range(3)]
    # asked for in another order, as other workers would
    assert [epoch_of(again, epoch, reversed(range(9)))[::-1] for epoch in (2, 0, 1)] == [wanted[2], wanted[0], wanted[1]]
    assert epoch_of(other, 0) != wanted[0] != wanted[1]
    assert epoch_of(other, 0) != wanted[1]
    assert first[4] == first[0, 4]
    noise = [number for epoch in wanted for _, number in epoch]
    assert len(set(noise)) == 27


def test_an_empty_side_is_refused():
    with pytest.raises(InputError, match="3 of x and 0 of y"):
        UnpairedDataset(range(3), [], pair_and_noise, 0)


def test_samples_in_memory_and_of_a_list():
    x, y = torch.arange(6, dtype=torch.uint8).view(3, 2, 1, 1), torch.arange(3)
    labelled = InMemory(LabelledImages(x, y))
    assert len(labelled) == 3
    assert type(labelled[1]) is LabelledImages
    assert labelled[2].y == 2
    assert torch.equal(labelled[2].x, x[2])
    doubled = Mapped([1, 2, 3], lambda item: 2 * item)
    assert list(doubled) == [2, 4, 6]


def test_the_shorter_of_two_sets_begins_again():
    x, y = (InMemory(Images(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1))) for n in (5, 2))
    both = Zipped(x, y)
    assert len(both) == 5
    assert both.sizes == {"x": 5, "y": 2}
    assert [(int(s.x), int(s.y)) for s in both] == [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0)]
    with pytest.raises(IndexError):
        both[5]


# -- whole batches -----------------------------------------------------------------------------------------------------

IMAGES = torch.randint(0, 256, (40, 1, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("transform", [identity, random_flip])
@pytest.mark.parametrize("samples", [LabelledImages(IMAGES, torch.arange(40)), Images(IMAGES.expand(-1, 3, -1, -1))])
def test_a_gathered_batch_is_the_samples_one_by_one(transform, samples, monkeypatch):
    plain = Augmented(InMemory(samples), transform, seed=3)
    assert Gathered.can_gather(plain)
    gathered = Gathered(plain)
    keys = [(epoch, index) for epoch in (0, 2) for index in (3, 39, 0, 17, 17, 5, 8, 21)]
    wanted = default_collate([plain[key] for key in keys])
    alone = [plain[index] for index in (4, 9)]
    assert all(torch.equal(a, b) for a, b in zip(gathered[keys[1]], plain[keys[1]], strict=True))
    monkeypatch.setattr(InMemory, "__getitem__", lambda *_: pytest.fail("one by one"))
    loader = DataLoader(gathered, batch_size=len(keys), sampler=keys, collate_fn=collate_gathered)
    (found,) = loader
    assert type(found) is type(samples)
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype
        assert a.is_contiguous()
    (of_part,) = DataLoader(Subset(gathered, [4, 9]), batch_size=2, collate_fn=collate_gathered)
    assert torch.equal(of_part.x, default_collate(alone).x)
    assert torch.equal(collate_gathered(alone).x, of_part.x)


def test_what_is_augmented_otherwise_is_not_gathered():
    items = InMemory(Images(IMAGES))
    assert not Gathered.can_gather(Augmented(items, lambda sample, rng: sample, 0))
    assert not Gathered.can_gather(Augmented([1, 2], identity, 0))
    assert not Gathered.can_gather(items)
    assert not Gathered.can_gather(UnpairedDataset(items, items, random_flip, 0))
