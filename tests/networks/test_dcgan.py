"""DCGAN's networks: parameter counts, sizes, where batch norm is."""

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.norms import BatchNorm, BatchStatistics, InstanceNorm, LayerNorm, NoNorm


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


@pytest.mark.parametrize(
    ("norm", "layer", "parameters"),
    [
        (BatchNorm(), nn.BatchNorm2d, 2 * 8 + 2 * 16),
        (InstanceNorm(), nn.InstanceNorm2d, 8 + 16),  # the convolutions' own biases
        (InstanceNorm(affine=True), nn.InstanceNorm2d, 2 * 8 + 2 * 16),
        (BatchStatistics(), nn.BatchNorm2d, 2 * 8 + 2 * 16),
        (LayerNorm(), nn.GroupNorm, 2 * 8 + 2 * 16),
        (NoNorm(), nn.Identity, 8 + 16),
    ],
)
def test_the_discriminators_norm(norm, layer, parameters):
    D = DCGANDiscriminator(channels=1, size=32, width=4, norm=norm.layer)
    assert sum(isinstance(part, layer) for part in D.modules()) == 2
    kernels = 16 * (4 + 4 * 8 + 8 * 16 + 16)
    assert sum(p.numel() for p in D.parameters()) == kernels + parameters


def test_only_batch_norm_mixes_the_samples():
    x = torch.randn(4, 1, 16, 16)
    for norm, mixes in ((BatchNorm(), True), (InstanceNorm(), False), (LayerNorm(), False), (NoNorm(), False)):
        D = DCGANDiscriminator(channels=1, size=16, width=4, norm=norm.layer)
        assert torch.allclose(D(x)[:2], D(x[:2]), atol=1e-6) != mixes


def test_layer_norm_is_of_all_maps_of_an_image():
    """Against its definition (Ba et al. 2016): mean and variance over channels, height and width."""
    x = torch.randn(3, 5, 4, 4) * 7 + 2
    mean, var = x.mean((1, 2, 3), keepdim=True), x.var((1, 2, 3), correction=0, keepdim=True)
    assert torch.allclose(LayerNorm().layer(5)(x), (x - mean) / (var + 1e-5).sqrt(), atol=1e-5)
