"""The random numbers of a training step are a function of (seed, rank, batch), for torch, NumPy and Python alike."""

import random
from itertools import product

import numpy as np
import torch

from ganzoo.utils.rng import seed_step, step_seed

CPU = torch.device("cpu")


def drawn() -> tuple[float, ...]:
    return torch.rand(()).item(), float(np.random.random()), random.random()


def test_the_numbers_depend_on_seed_rank_and_batch_alone():
    def of(*place: int) -> tuple[float, ...]:
        seed_step(*place, CPU)
        return drawn()

    first = of(3, 0, 7)
    drawn()  # whatever is drawn in between
    assert of(3, 0, 7) == first
    for other in ((4, 0, 7), (3, 1, 7), (3, 0, 8)):
        assert not set(of(*other)) & set(first)


def test_seeds_of_neighbouring_steps_are_all_different():
    seeds = {step_seed(*place) for place in product(range(4), range(4), range(100))}
    assert len(seeds) == 1600
    assert all(0 <= seed < 2**64 for seed in seeds)
