"""Features of a DCGAN's discriminator: which activations, and how they are pooled."""

import pytest
import torch
from support.small_models import small
from torch.nn.functional import leaky_relu, max_pool2d

from ganzoo.errors import InputError
from ganzoo.inference import discriminator_features
from ganzoo.models import DCGAN, GAN


def test_the_features_are_the_pooled_activations_of_every_hidden_convolution():
    torch.manual_seed(0)
    model = small(DCGAN, shape=(1, 32, 32), width=4)
    for _ in range(3):
        model.D(torch.randn(8, 1, 32, 32))  # batch norm's averages
    x = (torch.rand(5, 1, 32, 32) * 2 - 1).requires_grad_()
    found = discriminator_features(model, x, batch_size=2)
    layers = model.D.eval().layers
    first = leaky_relu(layers[0](x), 0.2)  # 16 x 16
    second = leaky_relu(layers[3](layers[2](first)), 0.2)  # 8 x 8
    third = leaky_relu(layers[6](layers[5](second)), 0.2)  # 4 x 4
    by_hand = torch.cat([max_pool2d(first, 4).flatten(1), max_pool2d(second, 2).flatten(1), third.flatten(1)], 1)
    assert found.shape == (5, 16 * (4 + 8 + 16))
    assert torch.allclose(found, by_hand, atol=1e-5)
    assert not found.requires_grad
    assert discriminator_features(model, x, grid=1).shape == (5, 28)


def test_the_model_s_mode_is_left_alone_and_uint8_is_taken():
    model = small(DCGAN, shape=(1, 16, 16), width=4).train()
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    before = model.D.layers[3].running_mean.clone()
    found = discriminator_features(model, images)
    assert torch.allclose(found, discriminator_features(model, images / 127.5 - 1), atol=1e-6)
    assert model.D.training
    assert torch.equal(model.D.layers[3].running_mean, before)


def test_what_has_no_such_features_is_one_clear_line():
    with pytest.raises(InputError, match="GAN has none"):
        discriminator_features(small(GAN), torch.zeros(2, 1, 8, 8))
    with pytest.raises(InputError, match=r"for images \[1, 8, 8\], and these are \[3, 8, 8\]"):
        discriminator_features(small(DCGAN, width=4), torch.zeros(2, 3, 8, 8))
    with pytest.raises(InputError, match="grid is 0: give"):
        discriminator_features(small(DCGAN, width=4), torch.zeros(2, 1, 8, 8), grid=0)
