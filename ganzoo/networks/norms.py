"""Batch norm where more than one kind of picture passes through the same network."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def averages_kept(network: nn.Module) -> Iterator[None]:
    """Inside the block a training network's batch norms use the batch's statistics and leave their averages alone."""
    tracking = [part for part in network.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    for part in tracking:
        part.track_running_stats = False
    try:
        yield
    finally:
        for part in tracking:
            part.track_running_stats = True
