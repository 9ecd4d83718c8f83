"""The inference network takes images of any size, and halves its maps down to 4 pixels."""

import pytest
import torch
from torch import nn

from ganzoo.networks.encoder import InferenceNetwork


@pytest.mark.parametrize(
    ("shape", "maps"), [((1, 28, 28), [32, 64, 128]), ((3, 64, 64), [32, 64, 128, 256]), ((1, 4, 4), [])]
)
def test_maps_double_while_sides_halve(shape, maps):
    network = InferenceNetwork(shape, 7)
    assert [layer.out_channels for layer in network.layers if isinstance(layer, nn.Conv2d)] == maps
    assert network(torch.rand(2, *shape)).shape == (2, 7)


def test_odd_and_oblong_images_and_a_limit_of_the_width():
    network = InferenceNetwork((2, 200, 133), 3, width=2, hidden=4)
    assert [layer.out_channels for layer in network.layers if isinstance(layer, nn.Conv2d)] == [2, 4, 8, 16, 16, 16]
    assert network(torch.rand(2, 2, 200, 133)).shape == (2, 3)
