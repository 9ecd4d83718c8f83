"""Ways to double feature maps: where each value goes, checkerboards, and DCGAN's generator with each."""

import pytest
import torch
from torch import nn

from ganzoo.models import DCGAN, Pix2Pix
from ganzoo.networks.dcgan import DCGANGenerator
from ganzoo.networks.pix2pix import UNet
from ganzoo.networks.upsampling import NearestConvolution, PixelShuffleConvolution, TransposedConvolution

ALL = [TransposedConvolution(), PixelShuffleConvolution(), NearestConvolution()]


@pytest.mark.parametrize("upsampling", ALL, ids=lambda part: type(part).__name__)
def test_height_and_width_are_doubled(upsampling):
    layer = upsampling.layer(6, 3)
    assert layer(torch.zeros(2, 6, 5, 4)).shape == (2, 3, 10, 8)
    assert not [name for name, _ in layer.named_parameters() if name.endswith("bias")]
    shifted, x = upsampling.layer(6, 3, bias=True), torch.randn(2, 6, 5, 4)
    shifted.load_state_dict(layer.state_dict(), strict=False)
    (bias,) = (value for name, value in shifted.named_parameters() if name.endswith("bias"))
    nn.init.constant_(bias, 0.5)
    assert torch.allclose(shifted(x), layer(x) + 0.5, atol=1e-6)


def test_pixel_shuffle_puts_four_maps_side_by_side():
    """``out[c, 2 i + a, 2 j + b] = maps[4 c + 2 a + b, i, j]`` (Shi et al. 2016, eq. 4)."""
    torch.manual_seed(0)
    layer, x = PixelShuffleConvolution().layer(2, 3), torch.randn(1, 2, 4, 5)
    maps, found = layer[0](x)[0], layer(x)[0]
    for c in range(3):
        for a in range(2):
            for b in range(2):
                assert torch.equal(found[c, a::2, b::2], maps[4 * c + 2 * a + b])


def test_nearest_repeats_each_value_before_the_convolution():
    torch.manual_seed(0)
    layer, x = NearestConvolution().layer(2, 3), torch.randn(1, 2, 4, 5)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(layer(x), layer[1](repeated))


@pytest.mark.parametrize(("upsampling", "parts"), list(zip(ALL, (4, 4, 1), strict=True)), ids=lambda p: type(p).__name__)
def test_a_constant_image_gets_a_checkerboard_from_all_but_one(upsampling, parts):
    torch.manual_seed(0)
    found = upsampling.layer(3, 1)(torch.ones(1, 3, 6, 6)).detach()[0, 0, 2:-2, 2:-2]  # away from the border
    assert len(found.mul(1e4).round().unique()) == parts


@pytest.mark.parametrize("upsampling", ALL, ids=lambda part: type(part).__name__)
def test_dcgan_takes_each(upsampling):
    torch.manual_seed(0)
    model = DCGAN(shape=(3, 16, 16), width=4, latent=5, upsampling=upsampling)
    kernel = {"TransposedConvolution": 16, "PixelShuffleConvolution": 36, "NearestConvolution": 9}
    weights = 5 * 8 * 16 + kernel[type(upsampling).__name__] * (8 * 4 + 4 * 3) + 2 * (8 + 4)
    assert sum(p.numel() for p in model.G.parameters()) == weights
    assert model.sample(2).shape == (2, 3, 16, 16)
    convolutions = [part for part in model.G.modules() if isinstance(part, nn.Conv2d)]
    assert all(0.015 < part.weight.std() < 0.025 for part in convolutions)
    assert model.hparams["upsampling"]["class_path"] == f"ganzoo.networks.upsampling.{type(upsampling).__name__}"


@pytest.mark.parametrize(("upsampling", "weights"), list(zip(ALL, (16, 36, 9), strict=True)), ids=lambda p: type(p).__name__)
def test_pix2pix_takes_each(upsampling, weights):
    torch.manual_seed(0)
    model = Pix2Pix(depth=2, width=4, upsampling=upsampling)
    # down 3-4-8, where no norm is; up 8-4 with a norm, and from 4 + 4 maps to an image with a bias
    biases = 4 + 8 if isinstance(upsampling, PixelShuffleConvolution) else 3
    assert sum(p.numel() for p in model.G.parameters()) == 16 * (12 + 32) + weights * (32 + 24) + biases + 2 * 4
    assert model.translate(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert model.hparams["upsampling"]["class_path"] == f"ganzoo.networks.upsampling.{type(upsampling).__name__}"


def test_the_default_is_the_papers():
    assert [type(part).__name__ for part in UNet(depth=2, width=4).block.up] == ["ReLU", "ConvTranspose2d", "Tanh"]
    assert [type(part).__name__ for part in DCGANGenerator(size=8).layers][3:] == ["ConvTranspose2d", "Tanh"]
