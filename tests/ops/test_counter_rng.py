import pytest
import torch

from ganzoo.ops.counter_rng import _CONSTANTS, _SECOND, _STREAM, MODULUS, dropout_mask, random_integers


def by_python(seed: int, stream: int, number: int) -> int:
    """The cipher in integers of any size."""
    keys = seed % MODULUS, seed % _SECOND + stream * _STREAM % MODULUS
    for turn, constant in enumerate(_CONSTANTS):
        number = pow(number + keys[turn % 2] + constant, 5, MODULUS)
    return (number + keys[0]) % MODULUS


@pytest.mark.parametrize("stream", [0, 1, 9])
def test_nothing_overflows(stream):
    seeds = [0, 1, MODULUS - 1, MODULUS, 2**40 + 3, 2**61 - 1]
    expected = [[by_python(seed, stream, n) for n in range(50)] for seed in seeds]
    assert random_integers(torch.tensor(seeds), stream, 50).tolist() == expected


def chi_square(cells: torch.Tensor) -> float:
    """In standard deviations from what uniform cells give."""
    expected = cells.sum() / len(cells)
    freedom = len(cells) - 1
    return float((((cells - expected) ** 2 / expected).sum() - freedom) / (2 * freedom) ** 0.5)


def test_numbers_are_uniform_and_pairs_are_independent():
    numbers, others = (random_integers(torch.arange(400), stream, 500) for stream in (0, 1))
    cells = numbers * 16 // MODULUS
    assert abs(chi_square(torch.bincount(cells.flatten(), minlength=16).double())) < 5
    for first, second in (
        (cells[:, 1:], cells[:, :-1]),  # neighbours
        (cells[1:], cells[:-1]),  # seeds one apart
        (cells, others * 16 // MODULUS),  # streams
    ):
        pairs = torch.bincount((first * 16 + second).flatten(), minlength=256).double()
        assert abs(chi_square(pairs)) < 5


def test_streams_are_no_shifts_of_each_other():
    seed = torch.tensor([5])
    first, second = set(random_integers(seed, 0, 50_000)[0].tolist()), set(random_integers(seed, 1, 50_000)[0].tolist())
    assert len(first) > 49_990
    assert len(first & second) < 20  # about one by chance


def test_a_row_depends_on_its_seed_only():
    together = random_integers(torch.tensor([3, 4, 5]), 2, 10)
    assert torch.equal(together[1:2], random_integers(torch.tensor([4]), 2, 10))


@pytest.mark.parametrize(("p", "kept"), [(0.5, 2.0), (0.2, 1.25)])
def test_dropout_keeps_the_mean(p, kept):
    mask = dropout_mask(torch.arange(50), 0, torch.empty(50, 4, 10, 10), p)
    assert mask.unique().tolist() == [0.0, pytest.approx(kept)]
    assert (mask == 0).float().mean() == pytest.approx(p, abs=0.02)  # four standard deviations are 0.014


def test_dropout_of_all_and_of_nothing():
    like = torch.empty(2, 3)
    assert dropout_mask(torch.arange(2), 0, like, 1.0).tolist() == [[0.0] * 3] * 2
    assert dropout_mask(torch.arange(2), 0, like, 0.0).tolist() == [[1.0] * 3] * 2
