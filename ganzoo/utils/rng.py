"""The random numbers of a training step, as a function of (seed, process, batch).

Nothing has to be saved of them: a run that is taken up again draws what the straight run would have drawn, processes
draw differently, and what happens between two steps (a validation, an image, a metric) cannot change the training.
"""

import random

import numpy as np
import torch


def step_seed(seed: int, process: int, batch: int) -> int:
    """A number for each (seed, process, batch), all unalike for practical purposes. Arguments at least 0; 64 bits."""
    return int(np.random.SeedSequence((seed, process, batch)).generate_state(1, np.uint64)[0])


def seed_step(seed: int, process: int, batch: int, device: torch.device) -> None:
    """Starts torch's (on the CPU and on ``device``), numpy's and Python's random numbers anew for this batch."""
    number = step_seed(seed, process, batch)
    # torch.manual_seed does the same, asking every kind of device that there could be: 200 times as long
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
    elif device.type != "cpu":
        torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)
