"""LAPGAN's networks: parameter counts, shapes, kinds of layers."""

import pytest
import torch
from torch import nn

from ganzoo.models.lapgan import LAPGAN
from ganzoo.networks.lapgan import BaseDiscriminator, BaseGenerator, ResidualDiscriminator, ResidualGenerator


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        *((ResidualGenerator(3, size, 64), 218_179) for size in (14, 28, 96)),
        (ResidualGenerator(3, 28, 128), 837_763),
        (ResidualDiscriminator(3, 14, 64), 107_905),
        (ResidualDiscriminator(3, 16, 64), 108_353),
        (ResidualDiscriminator(3, 28, 64), 113_729),
        (ResidualDiscriminator(3, 32, 64), 116_545),
        (ResidualDiscriminator(3, 28, 128), 432_257),
        (ResidualGenerator(3, 32, 64, classes=10), 232_579),
        (ResidualDiscriminator(3, 32, 64, classes=10), 129_409),
        (BaseGenerator((3, 8, 8)), 1_792_992),
        (BaseDiscriminator((3, 8, 8)), 477_001),
    ],
)
def test_parameter_counts(network, parameters):
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("size", [6, 8, 9, 14, 40])
def test_shapes_of_a_level(channels, classes, size):
    G, D = ResidualGenerator(channels, size, 4, classes), ResidualDiscriminator(channels, size, 4, classes)
    low, y = torch.zeros(2, channels, size, size), torch.zeros(2, classes)
    h = G(torch.zeros(2, 1, size, size), low, y)
    assert h.shape == low.shape
    assert D(h, low, y).shape == (2, 1)


def test_kinds_of_layers():
    G, D = ResidualGenerator(), ResidualDiscriminator()
    assert [type(m).__name__ for m in G.layers] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d"]  # linear, no tanh
    assert [m.kernel_size[0] for m in G.layers if isinstance(m, nn.Conv2d)] == [7, 7, 5]
    names = ["Conv2d", "ReLU", "Conv2d", "ReLU", "Flatten", "Dropout", "Linear"]
    assert [type(m).__name__ for m in D.layers] == names
    assert [(m.kernel_size[0], m.stride[0]) for m in D.layers if isinstance(m, nn.Conv2d)] == [(5, 1), (5, 2)]
    base = ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Unflatten"]
    assert [type(m).__name__ for m in BaseGenerator((1, 4, 4)).layers] == base
    base = ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [type(m).__name__ for m in BaseDiscriminator((1, 4, 4)).layers] == base
    assert {m.p for m in LAPGAN().modules() if isinstance(m, nn.Dropout)} == {0.5}
