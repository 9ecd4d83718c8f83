"""Dropout as noise: on in evaluation too, with the mean and the rate of ordinary dropout."""

import pytest
import torch
from torch import nn

from ganzoo.networks.dropout import NoiseDropout, draw_masks, given_masks, noise_dropouts


@pytest.mark.parametrize("training", [True, False])
def test_it_drops_in_training_and_in_evaluation(training):
    out = NoiseDropout(0.25).train(training)(torch.ones(40_000))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    # 5 standard errors of a share of 40,000
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 40_000) ** 0.5)


def test_without_a_rate_nothing_is_dropped():
    x = torch.randn(10)
    assert torch.equal(NoiseDropout(0.0).eval()(x), x)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 50), NoiseDropout(0.3), nn.Sequential(nn.Linear(50, 40), NoiseDropout(0.5)), nn.Tanh())


def test_masks_drawn_and_given_are_those_of_a_pass():
    net, x = network(), torch.randn(7, 3)
    torch.manual_seed(5)
    once = net(x)
    torch.manual_seed(5)
    masks = draw_masks(net, lambda: net(torch.zeros(7, 3)))
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == {"dropout_0": (7, 50), "dropout_1": (7, 40)}
    for _ in range(2):
        with given_masks(net, masks):
            assert torch.equal(net(x), once)
    assert not torch.equal(net(x), once)  # draws again
    with given_masks(net, {"dropout_0": masks["dropout_0"]}):  # and that which is not given
        assert not torch.equal(net(x), net(x))


def test_masks_are_taken_back_after_an_error():
    net = network()
    with pytest.raises(RuntimeError):
        draw_masks(net, lambda: net(torch.zeros(7, 4)))
    with pytest.raises(RuntimeError), given_masks(net, draw_masks(net, lambda: net(torch.zeros(7, 3)))):
        net(torch.zeros(7, 4))
    assert all(layer.mask is None and not layer._forward_pre_hooks for layer in noise_dropouts(net).values())


def test_masks_are_drawn_alike_from_a_compiled_network():
    net = network()
    torch.manual_seed(5)
    masks = draw_masks(net, lambda: net(torch.zeros(7, 3)))
    net[2].compile(backend="eager")
    torch.manual_seed(5)
    again = draw_masks(net, lambda: net(torch.zeros(7, 3)))
    assert all(torch.equal(masks[name], again[name]) for name in masks)
    with given_masks(net, masks):
        once = net(torch.ones(7, 3))
        assert torch.equal(once, net(torch.ones(7, 3)))
