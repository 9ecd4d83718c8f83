"""Multilayer perceptrons with ReLU for generators and critics (Arjovsky et al. 2017, Gulrajani et al. 2017)."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from ganzoo.networks.init import glorot_uniform, he_uniform


class MLP(nn.Module):
    """Fully connected layers with ReLU between. [N, ...] with ``inputs`` values per sample -> ``[N, *shape]``.

    Initial weights are those of the toy script of Gulrajani et al. (``gan_toy.py``): uniform, He before a ReLU and Glorot in
    the last layer; biases are zero.

    Args:
        inputs: values of one sample of the input.
        shape: of one sample of the output: (1,) for a critic, (2,) for points in the plane, (C, H, W) for images.
        hidden: units of each hidden layer.
        layers: number of hidden layers.
    """

    def __init__(self, inputs: int, shape: Sequence[int], hidden: int = 512, layers: int = 3) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * layers]
        parts: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            parts += [he_uniform(nn.Linear(before, after)), nn.ReLU()]
        self.layers = nn.Sequential(
            *parts, glorot_uniform(nn.Linear(widths[-1], prod(shape))), nn.Unflatten(1, tuple(shape))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
