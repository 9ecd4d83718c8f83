"""DCGAN's networks: parameter counts, sizes, where batch norm is."""

import pytest
from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: DCGANGenerator(), 3_576_704),
        (lambda: DCGANDiscriminator(), 2_765_568),
        (lambda: DCGANGenerator(channels=1), 3_574_656),
        (lambda: DCGANDiscriminator(channels=1), 2_763_520),
        (lambda: DCGANGenerator(width=128), 12_658_432),
    ],
)
def test_parameter_counts(build, parameters):
    assert sum(p.numel() for p in build().parameters()) == parameters


@pytest.mark.parametrize("size", [0, 4, 28, 48])
def test_dcgan_refuses_a_size_that_is_not_four_doubled(size):
    with pytest.raises(InputError, match=str(size)):
        DCGANGenerator(size=size)
    with pytest.raises(InputError, match=str(size)):
        DCGANDiscriminator(size=size)


def test_dcgan_has_no_batch_norm_at_its_ends():
    G, D = list(DCGANGenerator().layers), list(DCGANDiscriminator().layers)
    assert [type(m).__name__ for m in G[-3:]] == ["ReLU", "ConvTranspose2d", "Tanh"]
    assert [type(m).__name__ for m in D[:3]] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert all(m.eps == 1e-5 for m in [*G, *D] if isinstance(m, nn.BatchNorm2d))
