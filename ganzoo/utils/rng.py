"""Seeds the random number generators of a training step as a function of (seed, process, batch).

No state has to be saved: a resumed run draws what the uninterrupted run would have drawn, processes draw differently,
and what happens between two steps (a validation, an image, a metric) cannot change the training.
"""

import random

import numpy as np
import torch


def step_seed(seed: int, process: int, batch: int) -> int:
    """A seed of 64 bits for each (seed, process, batch), different for practical purposes. Arguments are at least 0."""
    return int(np.random.SeedSequence((seed, process, batch)).generate_state(1, np.uint64)[0])


def seed_torch(number: int, device: torch.device) -> None:
    """Seeds torch's generators of the CPU and of ``device``."""
    # torch.manual_seed does the same, asking every kind of device that there could be: 200 times as long
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
    elif device.type != "cpu":
        torch.manual_seed(number)


def seed_step(seed: int, process: int, batch: int, device: torch.device) -> None:
    """Seeds torch (on the CPU and on ``device``), numpy and Python for this batch."""
    number = step_seed(seed, process, batch)
    seed_torch(number, device)
    np.random.seed(number % 2**32)
    random.seed(number)
