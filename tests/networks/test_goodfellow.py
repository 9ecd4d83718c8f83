"""The networks of 2014 (GAN, CGAN): published parameter counts, initial ranges, maxout, shapes."""

import pytest
import torch
from torch import nn

from ganzoo.networks.goodfellow import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    ConvMaxoutDiscriminator,
    DeconvGenerator,
    Maxout,
    MaxoutDiscriminator,
    MLPGenerator,
)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: MLPGenerator(), 2_503_984),
        (lambda: MaxoutDiscriminator(), 1_231_441),
        (lambda: ConditionalGenerator(), 2_413_984),
        (lambda: ConditionalDiscriminator(), 1_224_351),
    ],
)
def test_parameter_counts(build, parameters):
    assert sum(p.numel() for p in build().parameters()) == parameters


def test_initial_ranges_of_2014():
    G, D = MLPGenerator(), MaxoutDiscriminator()
    for network, spread in ((G, 0.05), (D, 0.005)):
        weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Linear)])
        assert weights.abs().max() <= spread
        assert weights.std().item() == pytest.approx(spread / 3**0.5, rel=0.01)


def test_maxout_is_the_largest_of_its_pieces():
    layer = Maxout(4, 3, pieces=5, spread=1.0)
    x = torch.randn(6, 4)
    W, b = layer.linear.weight.view(3, 5, 4), layer.linear.bias.view(3, 5)
    by_hand = torch.stack([torch.stack([x @ W[i, j] + b[i, j] for j in range(5)]).amax(0) for i in range(3)], 1)
    assert torch.allclose(layer(x), by_hand, atol=1e-6)


def test_images_are_in_minus_one_to_one_and_zero_one_inside():
    G, D = MLPGenerator(), MaxoutDiscriminator().eval()
    assert G(10 * torch.randn(5, 100)).abs().max() <= 1
    black = D(torch.full((1, 1, 28, 28), -1.0))
    D.layers[1].linear.weight.data.mul_(100)  # black is zero, so the first weights cannot matter
    assert torch.equal(D(torch.full((1, 1, 28, 28), -1.0)), black)


def test_the_cifar_pair_has_the_released_shapes():
    G, D = DeconvGenerator(hidden=16), ConvMaxoutDiscriminator()
    assert G(torch.zeros(2, 100)).shape == (2, 3, 32, 32)
    maps = []
    for layer in D.layers[1], D.layers[3], D.layers[5]:
        layer.register_forward_hook(lambda _, __, out: maps.append(tuple(out.shape[1:])))
    assert D(torch.zeros(2, 3, 32, 32)).shape == (2, 1)
    assert maps == [(32, 16, 16), (32, 7, 7), (192, 5, 5)]


def test_the_2014_generators_by_hand():
    z = torch.randn(3, 4)
    G = MLPGenerator(4, (1, 2, 2), hidden=5)
    first, second = G.hidden[0], G.hidden[2]
    by_hand = 2 * G.pixels(second(first(z).clamp(min=0)).clamp(min=0)).sigmoid() - 1
    assert torch.allclose(G(z), by_hand.view(3, 1, 2, 2), atol=1e-6)
    C = DeconvGenerator(4, 3, hidden=6)
    first, second = C.hidden[0], C.hidden[2]
    maps = second(first(z).clamp(min=0)).sigmoid().view(3, 80, 10, 10)
    assert torch.allclose(C(z), C.deconv(maps), atol=1e-6)
