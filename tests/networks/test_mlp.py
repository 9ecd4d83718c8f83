"""The multilayer perceptron: counts, shapes, initial weights."""

import pytest
import torch
from torch import nn

from ganzoo.networks.mlp import MLP


def test_it_has_the_toy_scripts_layers():
    """2 -> 512 -> 512 -> 512 -> 2, with a bias each."""
    network = MLP(2, (2,))
    assert sum(p.numel() for p in network.parameters()) == (2 + 1) * 512 + 2 * (512 + 1) * 512 + (512 + 1) * 2
    kinds = [type(part) for part in network.layers]
    assert kinds == [nn.Flatten, *[nn.Linear, nn.ReLU] * 3, nn.Linear, nn.Unflatten]
    assert network(torch.randn(5, 2)).shape == (5, 2)


def test_it_reads_and_makes_images():
    assert MLP(12, (1,), hidden=4)(torch.randn(5, 3, 2, 2)).shape == (5, 1)
    assert MLP(7, (3, 2, 2), hidden=4, layers=1)(torch.randn(5, 7)).shape == (5, 3, 2, 2)
    assert sum(p.numel() for p in MLP(7, (3, 2, 2), hidden=4, layers=0).parameters()) == 8 * 12


def test_initial_weights_are_uniform_and_keep_the_variance():
    torch.manual_seed(0)
    linear = [part for part in MLP(100, (300,)).layers if isinstance(part, nn.Linear)]
    variances = [2 / 100, 2 / 512, 2 / 512, 2 / (512 + 300)]  # He before a ReLU, Glorot at the end
    for layer, variance in zip(linear, variances, strict=True):
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.03)
        assert layer.weight.abs().max().item() == pytest.approx((3 * variance) ** 0.5, rel=0.01)
        assert not layer.bias.any()
