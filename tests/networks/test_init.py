"""The initial weights: normal with a deviation of 0.02."""

import pytest
import torch
from torch import nn

from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.pix2pix import PatchGAN, UNet


@pytest.mark.parametrize("network", [UNet(depth=6, width=32), PatchGAN(), DCGANGenerator(), DCGANDiscriminator()])
def test_initial_weights_are_normal_with_deviation_002(network):
    weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
    assert weights.mean().abs() < 2e-4
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1.0, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)
