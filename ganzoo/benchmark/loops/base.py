"""What every training step without Lightning has: networks, optimizers, autocast, freezing, one update."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Losses = dict[str, Tensor]


def freeze(networks: Iterable[nn.Module], frozen: bool = True) -> None:
    """Sets whether the parameters of the networks are without gradients."""
    for network in networks:
        for parameter in network.parameters():
            parameter.requires_grad_(not frozen)


def update(optimizer: Optimizer, loss: Tensor) -> None:
    """Takes one optimizer step on the gradient of a scalar loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Loop(ABC):
    """The training step of a model.

    Args:
        model: a model of ganzoo, whose networks and hyperparameters are used.
        lower: the dtype in which networks compute (autocast); None for that of their weights.

    Attributes:
        cudnn_benchmark: whether the code lets cuDNN try its algorithms (``torch.backends.cudnn.benchmark``).
    """

    cudnn_benchmark: ClassVar[bool] = False

    def __init__(self, model: Any, lower: torch.dtype | None = None) -> None:
        self.lower = lower
        self.device = next(model.parameters()).device
        self.configure(model)

    @abstractmethod
    def configure(self, model: Any) -> None:
        """Takes the model's networks and builds the optimizers."""

    @abstractmethod
    def step(self, batch: Any) -> Losses:
        """Trains on one batch.

        Args:
            batch: fields as the model takes them, images in [-1, 1], on the device.

        Returns:
            The loss terms, scalars on the device, under the names that ganzoo logs.
        """

    def autocast(self) -> torch.autocast:
        """The context in which networks compute."""
        return torch.autocast(self.device.type, self.lower, enabled=self.lower is not None)
