"""The networks of WGAN-GP: parameter counts, shapes, initial weights, and no norm where gradients are penalised."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ganzoo.errors import InputError
from ganzoo.networks.wgan_gp import ResidualBlock, ResidualCritic, ResidualGenerator, SmallCritic, SmallGenerator

NORMS = nn.BatchNorm2d | nn.GroupNorm | nn.InstanceNorm2d


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_small_networks_have_the_released_scripts_parameters():
    assert count(SmallGenerator()) == 1_554_177
    assert count(SmallCritic()) == 1_030_145


def test_the_residual_networks_have_the_papers_layers():
    """By hand, from the table of appendix C: 3 x 3 convolutions, 1 x 1 shortcuts, a bias each."""
    three, one, norm = 128 * 128 * 9 + 128, 128 * 128 + 128, 2 * 128
    up = 2 * three + one + 2 * norm
    assert count(ResidualGenerator()) == (128 + 1) * 16 * 128 + 3 * up + norm + 128 * 3 * 9 + 3 == 1_204_483
    first = 3 * 128 * 9 + 128 + three + 3 * 128 + 128
    assert count(ResidualCritic()) == first + 2 * three + one + 2 * 2 * three + 128 + 1 == 1_053_825


def test_images_and_scores():
    for size in (8, 32):
        images = ResidualGenerator(latent=5, channels=2, size=size, width=4)(torch.randn(3, 5))
        assert images.shape == (3, 2, size, size)
        assert images.abs().max() <= 1
        assert ResidualCritic(channels=2, width=4)(images).shape == (3, 1)
    images = SmallGenerator(latent=5, channels=2, width=4)(torch.randn(3, 5))
    assert images.shape == (3, 2, 28, 28)
    assert images.min() < 0 < images.max()
    assert SmallCritic(channels=2, width=4)(images).shape == (3, 1)
    with pytest.raises(InputError, match="not 28"):
        ResidualGenerator(size=28)


def test_a_critic_has_no_norm_and_takes_each_sample_by_itself():
    for critic, size in ((ResidualCritic(width=4), 32), (SmallCritic(channels=3, width=4), 28)):
        assert not any(isinstance(part, NORMS) for part in critic.modules())
        x = torch.randn(4, 3, size, size)
        assert torch.allclose(critic(x)[:2], critic(x[:2]), atol=1e-6)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in ResidualGenerator(width=4).modules()) == 7


def test_a_residual_block_is_the_sum_of_its_paths():
    """Also where it changes the size: with both convolutions of the main path at 0, the shortcut is left."""
    x = torch.randn(2, 4, 8, 8)
    generator, critic = ResidualGenerator(width=4), ResidualCritic(channels=4, width=4)
    grows = next(part for part in generator.modules() if isinstance(part, ResidualBlock))
    shrinks = [part for part in critic.modules() if isinstance(part, ResidualBlock)]
    for block in (grows, *shrinks):
        for part in block.main.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.zeros_(part.weight)
    wide = functional.interpolate(x, scale_factor=2, mode="nearest")
    assert torch.allclose(grows(x), grows.shortcut[1](wide))
    pooled = functional.avg_pool2d(x, 2)
    assert torch.allclose(shrinks[0](x), shrinks[0].shortcut[1](pooled), atol=1e-6)
    # a mean over pixels and a 1 x 1 convolution can change places
    assert torch.allclose(shrinks[1](x), shrinks[1].shortcut[0](pooled), atol=1e-6)
    assert torch.equal(shrinks[2](x), x)


def test_initial_weights_of_the_released_code():
    """Uniform, of variance 4 / (inputs + outputs) within a block and 2 / (inputs + outputs) elsewhere."""
    torch.manual_seed(0)
    block = ResidualCritic().layers[1]
    within, shortcut = block.main[1], block.shortcut[0]
    assert within.weight.var().item() == pytest.approx(4 / (2 * 128 * 9), rel=0.02)
    assert shortcut.weight.var().item() == pytest.approx(2 / (2 * 128), rel=0.03)
    strided = SmallCritic().layers[2]  # an input value reaches a quarter of the outputs of stride 1
    assert strided.weight.var().item() == pytest.approx(4 / (64 * 25 + 128 * 25 / 4), rel=0.02)
    transposed = SmallGenerator().small[3]
    assert transposed.weight.var().item() == pytest.approx(4 / (256 * 25 / 4 + 128 * 25), rel=0.02)
    assert not any(part.bias.any() for part in SmallGenerator().modules() if isinstance(part, nn.ConvTranspose2d))
