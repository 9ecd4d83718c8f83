"""BEGAN's autoencoder and generator: parameter counts, sizes, and L(v) by hand."""

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks.began import AutoencoderDiscriminator, Decoder, Encoder


def conv(inputs: int, outputs: int) -> int:
    return 9 * inputs * outputs + outputs


def decoder(n: int, latent: int, channels: int, scales: int) -> int:
    return (latent + 1) * 64 * n + 2 * scales * conv(n, n) + conv(n, channels)


def encoder(n: int, latent: int, channels: int, scales: int) -> int:
    total, before = conv(channels, n), n
    for scale in range(1, scales + 1):
        maps = n * scale  # as many more with each halving
        total += conv(before, maps) + conv(maps, maps) + (conv(maps, maps) if scale < scales else 0)
        before = maps
    return total + 64 * before * latent + latent


@pytest.mark.parametrize(("size", "scales"), [(8, 1), (16, 2), (32, 3), (64, 4)])
def test_parameter_counts(size, scales):
    for part, expected in ((Decoder, decoder), (Encoder, encoder)):
        found = sum(p.numel() for p in part(5, 3, size, 6).parameters())
        assert found == expected(6, 5, 3, scales)
    whole = AutoencoderDiscriminator(5, 3, size, 6)
    parts = decoder(6, 5, 3, scales) + encoder(6, 5, 3, scales)
    assert sum(p.numel() for p in whole.parameters()) == parts


@pytest.mark.parametrize("size", [0, 4, 12, 28])
@pytest.mark.parametrize("network", [Encoder, Decoder, AutoencoderDiscriminator])
def test_a_size_that_is_not_eight_doubled_is_refused(network, size):
    with pytest.raises(InputError, match=rf"not {size}: set the data's size"):
        network(size=size)


@pytest.mark.parametrize("size", [8, 32])
def test_sizes_and_activations(size):
    x = torch.randn(2, 1, size, size)
    D = AutoencoderDiscriminator(5, 1, size, 4)
    assert D.encoder(x).shape == (2, 5)
    assert D.reconstruct(x).shape == x.shape
    assert D(x).shape == (2, 1)
    kinds = {type(part) for part in D.modules()}
    assert nn.ELU in kinds
    assert not kinds & {nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.BatchNorm2d, nn.ConvTranspose2d, nn.MaxPool2d}
    # neither the code nor what is made of it, nor the image, has an activation
    assert isinstance(D.encoder.layers[-1], nn.Linear)
    assert isinstance(D.decoder.layers[2], nn.Conv2d | nn.Upsample)
    assert isinstance(D.decoder.layers[-1], nn.Conv2d)
    assert all(part.mode == "nearest" for part in D.modules() if isinstance(part, nn.Upsample))


def test_the_score_is_minus_the_mean_absolute_error_of_each_image():
    D = AutoencoderDiscriminator(5, 3, 8, 4)
    x = torch.randn(3, 3, 8, 8)
    for image, score, back in zip(x, D(x), D.reconstruct(x), strict=True):
        assert score.item() == pytest.approx(-(image - back).abs().sum().item() / (3 * 8 * 8), rel=1e-5)
