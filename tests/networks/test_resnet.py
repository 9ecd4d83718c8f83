"""The ResNet translator: published parameter counts, a second implementation, borders, sizes."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ganzoo.errors import InputError
from ganzoo.models import CycleGAN
from ganzoo.networks.norms import InstanceNorm
from ganzoo.networks.pix2pix import PatchGAN
from ganzoo.networks.resnet import Residual, ResNet


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: ResNet(), 11_378_179),
        (lambda: ResNet(blocks=6), 7_837_699),
        (lambda: ResNet(norm=nn.BatchNorm2d), 11_383_427),
        (lambda: ResNet(blocks=6, norm=nn.BatchNorm2d), 7_841_411),
        (lambda: PatchGAN(3, norm=InstanceNorm().layer), 2_764_737),
        (lambda: CycleGAN(), 28_285_832),
    ],
)
def test_published_parameter_counts(build, parameters):
    assert count(build()) == parameters


def second_resnet(net: ResNet, x: torch.Tensor) -> torch.Tensor:
    """The same weights through another writing of the paper's shorthand."""
    weights = [(m.weight, m.bias) for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    take = iter(weights)

    def normed(x):
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    def mirrored(x, pad):
        def along(n):
            return [*range(pad, 0, -1), *range(n), *range(n - 2, n - 2 - pad, -1)]  # the edge pixel itself is not repeated

        return functional.conv2d(x[:, :, along(x.shape[2])][:, :, :, along(x.shape[3])], *next(take))

    h = normed(mirrored(x, 3)).relu()
    for _ in range(2):
        h = normed(functional.conv2d(h, *next(take), stride=2, padding=1)).relu()
    for _ in range((len(weights) - 6) // 2):
        h = h + normed(mirrored(normed(mirrored(h, 1)).relu(), 1))
    for _ in range(2):
        h = normed(functional.conv_transpose2d(h, *next(take), stride=2, padding=1, output_padding=1)).relu()
    return mirrored(h, 3).tanh()


@pytest.mark.parametrize("blocks", [0, 1, 6, 9])
def test_against_a_second_writing(blocks):
    net = ResNet(2, 5, blocks, width=6)
    for p in net.parameters():  # biases too, and large enough for tanh to bend
        nn.init.normal_(p, 0, 0.15)
    x = torch.randn(2, 2, 16, 24)
    made = net(x)
    assert made.shape == (2, 5, 16, 24)
    assert torch.allclose(made, second_resnet(net, x), atol=1e-5)
    assert made.abs().max() > 0.9


def test_a_constant_image_has_no_border():
    """Zero padding would put a frame of another value around it."""
    layers = ResNet(3, 3, 2, width=4, norm=lambda maps: nn.Identity()).layers
    at_stride_1 = [m for m in layers if isinstance(m, Residual) or getattr(m, "stride", None) == (1, 1)]
    assert len(at_stride_1) == 4
    for layer in at_stride_1:
        channels = next(m.in_channels for m in layer.modules() if isinstance(m, nn.Conv2d))
        out = layer(torch.full((1, channels, 12, 12), 0.7))
        assert (out - out[:, :, :1, :1]).abs().max() < 1e-6
        assert (out - 0.7).abs().max() > 1e-3  # and it did something


def test_initial_weights_are_normal_with_deviation_002():
    net = ResNet(blocks=2)
    weights = torch.cat([m.weight.flatten() for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
    assert weights.mean().abs() < 2e-4
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all((m.bias == 0).all() for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


@pytest.mark.parametrize("size", [(18, 16), (16, 18), (15, 15), (4, 16), (16, 4)])
def test_a_size_that_cannot_be_halved_twice_is_one_line(size):
    with pytest.raises(InputError, match=rf"multiples of 4, at least 8, not {size[0]}x{size[1]}; set data\.size"):
        ResNet(width=2, blocks=0)(torch.zeros(1, 3, *size))


def test_the_smallest_image_trains():
    net = ResNet(1, 1, 1, width=2).train()
    assert net(torch.randn(1, 1, 8, 8)).shape == (1, 1, 8, 8)
