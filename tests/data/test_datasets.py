"""Two sets that are not paired: orders and who meets whom."""

from collections import Counter

import numpy as np
import pytest
import torch

from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.datasets import InMemory, Mapped, UnpairedDataset, Zipped
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
