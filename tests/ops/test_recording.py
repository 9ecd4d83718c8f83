"""A network that runs is recorded as its steps, and what is no known step is named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganzoo.ops.recording import record
from ganzoo.ops.regions import NotTileableError


def test_a_network_in_use_has_its_own_steps():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(4), nn.ReLU(inplace=True))

    def network(x):
        y = net(x)
        if x.shape[-1] > 3 and float(y.max()) > -9:  # looks at values, as checks of the input do
            y += 1.0
        return torch.cat([x, y], 1)[:, :] if y is None else torch.cat([x, y], 1)

    steps = record(network, torch.randn(1, 3, 8, 8))
    assert [type(step).__name__ for step in steps] == [
        "Source", "Padding", "Convolution", "WholeNorm", "Pixelwise", "Pixelwise", "Pixelwise"
    ]  # fmt: skip
    assert steps[-1].channels == 7
    assert steps[-1].inputs == (steps[0], steps[-2])


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (lambda x: x + x.mean((2, 3), keepdim=True), "mean"),
        (lambda x: F.softmax(x, 1), "softmax"),
        (lambda x: x.flip(3), "flip"),
        (lambda x: x + torch.arange(8.0), "several sizes"),
        (lambda x: x * torch.ones(1, 1, 8, 8), "several sizes"),
        (lambda x: torch.cat(x.chunk(3, 1), 1), "chunk"),
        (lambda x: torch.cat([x, x], 2)[:, :, :8], "cat along dimension 2"),
        (lambda x: x[:, :, 1:], "output"),
        (lambda x: torch.zeros(1, 3, 8, 8), "output"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular")[..., 1:-1, 1:-1], "circular"),
        (lambda x: F.conv2d(x, torch.ones(3, 3, 3, 3), padding="same"), "padding='same'"),
        (lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")[:, :, ::2, ::2], "mode='bilinear'"),
        (lambda x: F.interpolate(x, (16, 16))[:, :, ::2, ::2], "interpolate with scale_factor=None"),
        (lambda x: F.interpolate(x, scale_factor=1.5)[:, :, :8, :8], "interpolate with scale_factor=1.5"),
        (lambda x: F.conv2d(x.detach().clone().sort(1).values, torch.ones(3, 3, 1, 1)), "sort"),
    ],
)
def test_what_is_not_known_is_named(network, what):
    with pytest.raises(NotTileableError, match=what):
        record(network, torch.randn(1, 3, 8, 8))
