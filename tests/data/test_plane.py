"""Rings and grids: where their modes are, how often each occurs, and that a model takes them."""

from math import exp

import pytest
import torch

from ganzoo.data import Grid, Ring
from ganzoo.data.batches import as_float
from ganzoo.errors import InputError
from ganzoo.metrics.modes import ModeData, grid, mode_coverage, ring


def of(data):
    data.setup()
    return [part.samples for part in (data.train_set, data.val_set, data.test_set)]


@pytest.mark.parametrize(("data", "modes", "sigma"), [(Ring(), 8, 0.01 / 1.05), (Grid(), 25, 0.05 / 4.25)])
def test_the_published_mixtures(data, modes, sigma):
    """Real points find every mode, and 98.89 % of them are within three sigma of one."""
    train, val, test = of(data)
    assert [len(each.x) for each in (train, val, test)] == [100_000, 2500, 2500]
    assert isinstance(data, ModeData)
    assert (data.shape, data.classes) == ((2,), modes)
    for part, tolerance in ((train, 0.001), (val, 0.007), (test, 0.007)):
        found = mode_coverage(data.modes(), part.x)
        assert found.modes == modes
        assert found.high_quality == pytest.approx(1 - exp(-4.5), abs=tolerance)
        assert torch.equal(data.modes().assign(part.x).mode, part.y)  # the label is the mode
        counts = part.y.bincount(minlength=modes)
        assert counts.max() - counts.min() <= 1
    # all modes have the same round normal
    away = train.x - data.modes().centres[train.y]
    for mode in range(modes):
        assert away[train.y == mode].mean(0).abs().max() < 4 * sigma / (len(train.x) / modes) ** 0.5
        assert away[train.y == mode].std(0).tolist() == pytest.approx([sigma, sigma], rel=0.05)


def test_points_are_in_minus_one_to_one():
    """Whatever the units of the protocol: the outermost centre is five sigma inside."""
    for data in (Ring(), Grid(), Ring(radius=2.0, sigma=0.02), Grid(3, 7.0, 0.2), Ring(2, sigma=0.3)):
        modes = data.modes()
        assert modes.centres.abs().max() + 5 * modes.sigma == pytest.approx(1)
        assert 1 - 2 * modes.sigma < of(data)[0].x.abs().max() < 1 + modes.sigma
    twice = Ring(radius=2.0, sigma=0.02).modes()  # the same but for the unit
    assert torch.allclose(twice.centres, Ring().modes().centres)
    assert twice.sigma == pytest.approx(Ring().modes().sigma)
    assert Grid().modes().centres[-1].tolist() == pytest.approx([4 / 4.25, 4 / 4.25])
    # a side of 3 and a count of 5 are those of the centres: 7 + 5 x 0.2 and 1 + 5 x 0.01 become 1
    assert torch.allclose(8 * Grid(3, 7.0, 0.2).modes().centres, grid(3, 7.0))
    assert torch.allclose(1.05 * Ring(5).modes().centres, ring(5))


def test_the_points_are_the_same_for_every_seed_and_held_out_ones_are_others():
    first, again = of(Ring(seed=0)), of(Ring(seed=7, points=1000))
    assert torch.equal(first[1].x, again[1].x)
    assert torch.equal(first[2].x, again[2].x)
    assert torch.equal(first[0].x[:1000], again[0].x)
    assert not torch.equal(first[1].x, first[2].x)


def test_a_batch_is_what_a_model_takes():
    data = Grid(batch_size=5)
    data.setup()
    batch = as_float(next(iter(data.train_dataloader())))
    assert batch.x.shape == (5, 2)
    assert batch.x.dtype == torch.float32
    assert batch.y.dtype == torch.int64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ring(1), "2 modes or more"),
        (lambda: Grid(1), "2 modes or more"),
        (lambda: Ring(sigma=0.0), "sigma"),
        (lambda: Ring(120), "two modes overlap"),
        (lambda: Grid(spacing=0.3), "two modes overlap"),
        (lambda: Ring(points=1), "points"),
    ],
)
def test_what_has_no_modes_to_count_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
