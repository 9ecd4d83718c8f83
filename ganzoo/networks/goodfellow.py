"""The networks of Goodfellow et al. 2014 and Mirza and Osindero 2014.

Sizes and initial ranges of the former are from the authors' released ``mnist.yaml`` and ``cifar10_convolutional.yaml``; the
latter's sizes are from its text, and its initial ranges are borrowed from the former.
The papers' networks see pixels in [0, 1]; ours take and give [-1, 1] like the rest of the zoo and convert at the door.
"""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganzoo.networks.dropout import NoiseDropout


def uniform_linear(inputs: int, outputs: int, spread: float) -> nn.Linear:
    """A linear layer with weights uniform in [-spread, spread] and zero biases (pylearn2's ``irange``)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -spread, spread)
    nn.init.zeros_(layer.bias)
    return layer


class Maxout(nn.Module):
    """``h_i = max_j (x^T W_ij + b_ij)`` over ``pieces`` linear pieces (Goodfellow et al. 2013, eq. 1).

    [N, inputs] -> [N, units].
    """

    def __init__(self, inputs: int, units: int, pieces: int, spread: float = 0.005) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = uniform_linear(inputs, units * pieces, spread)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)


class MLPGenerator(nn.Module):
    """z -> ReLU -> ReLU -> sigmoid image. [N, latent] -> [N, C, H, W] in [-1, 1].

    Args:
        latent: length of z.
        shape: (C, H, W) of an image.
        hidden: units of each of the two hidden layers.
    """

    def __init__(self, latent: int = 100, shape: tuple[int, ...] = (1, 28, 28), hidden: int = 1200) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden = nn.Sequential(
            uniform_linear(latent, hidden, 0.05), nn.ReLU(), uniform_linear(hidden, hidden, 0.05), nn.ReLU()
        )
        self.pixels = uniform_linear(hidden, prod(shape), 0.05)

    def forward(self, z: Tensor) -> Tensor:
        return _image(self.pixels(self.hidden(z)), self.shape)


class MaxoutDiscriminator(nn.Module):
    """Image -> maxout -> maxout -> one logit, with dropout before each layer. [N, C, H, W] -> [N, 1].

    Args:
        shape: (C, H, W) of an image.
        units: maxout units of each of the two hidden layers.
        pieces: linear pieces of each unit.
        input_dropout: share of pixels dropped.
        dropout: share of hidden units dropped.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        units: int = 240,
        pieces: int = 5,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(input_dropout),
            Maxout(prod(shape), units, pieces),
            nn.Dropout(dropout),
            Maxout(units, units, pieces),
            nn.Dropout(dropout),
            uniform_linear(units, 1, 0.005),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(_zero_one(x).flatten(1))


class DeconvGenerator(nn.Module):
    """z -> ReLU -> sigmoid -> 80 maps of 10 x 10 -> one transposed convolution. [N, latent] -> [N, C, 32, 32].

    The released CIFAR-10 generator: a 5 x 5 kernel at stride 3 takes 10 x 10 to 32 x 32. Its output is linear.
    """

    def __init__(self, latent: int = 100, channels: int = 3, hidden: int = 8000) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            uniform_linear(latent, hidden, 0.05), nn.ReLU(), uniform_linear(hidden, 8000, 0.05), nn.Sigmoid()
        )
        self.deconv = nn.ConvTranspose2d(80, channels, kernel_size=5, stride=3)
        nn.init.uniform_(self.deconv.weight, -0.05, 0.05)
        nn.init.zeros_(self.deconv.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> Tensor:
        return self.deconv(self.hidden(z).unflatten(1, (80, 10, 10)))


class ConvMaxout(nn.Module):
    """Convolution, maximum over ``pieces`` maps, then max-pooling whose last window may hang over the edge."""

    def __init__(self, inputs: int, maps: int, kernel: int, pad: int, pool: int, pieces: int = 2) -> None:
        super().__init__()
        self.pieces, self.pool = pieces, pool
        self.conv = nn.Conv2d(inputs, maps * pieces, kernel, padding=pad)
        nn.init.uniform_(self.conv.weight, -0.005, 0.005)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x).unflatten(1, (-1, self.pieces)).amax(2)
        return functional.max_pool2d(maps, self.pool, stride=2, ceil_mode=True)


class ConvMaxoutDiscriminator(nn.Module):
    """The released CIFAR-10 discriminator: three convolutional maxout layers, one dense, one logit.

    [N, C, 32, 32] -> [N, 1].
    """

    def __init__(self, channels: int = 3, input_dropout: float = 0.2, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(input_dropout),
            ConvMaxout(channels, 32, kernel=8, pad=4, pool=4),
            nn.Dropout(dropout),
            ConvMaxout(32, 32, kernel=8, pad=3, pool=4),
            nn.Dropout(dropout),
            ConvMaxout(32, 192, kernel=5, pad=3, pool=2),
            nn.Flatten(),
            nn.Dropout(dropout),
            Maxout(192 * 5 * 5, 500, 5),
            nn.Dropout(dropout),
            uniform_linear(500, 1, 0.005),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


# A one-hot code has one input at work where an image has hundreds: at the images' 0.05 and 0.005 the class would be
# drowned, and on MNIST neither player hears it in the first 5 epochs.
ONE_HOT_SPREAD = 0.5


class ConditionalGenerator(nn.Module):
    """z and y each to a hidden layer, both to a joint one, then a sigmoid image (Mirza and Osindero 2014, section 4.1).

    z [N, latent], y one-hot [N, classes] -> [N, C, H, W] in [-1, 1].

    Args:
        latent: length of z.
        classes: length of y.
        shape: (C, H, W) of an image.
        z_units, y_units, joint_units: widths of the three hidden layers. The text may also be read as if the 200 + 1000
            units side by side were the joint layer; we take the joint layer as a layer of its own.
        dropout: share of hidden units dropped, in training and when sampling: it varies the image far more than z does,
            and a generator without it draws one image of each class.
    """

    def __init__(
        self,
        latent: int = 100,
        classes: int = 10,
        shape: tuple[int, ...] = (1, 28, 28),
        z_units: int = 200,
        y_units: int = 1000,
        joint_units: int = 1200,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.from_z = nn.Sequential(uniform_linear(latent, z_units, 0.05), nn.ReLU(), NoiseDropout(dropout))
        self.from_y = nn.Sequential(uniform_linear(classes, y_units, ONE_HOT_SPREAD), nn.ReLU(), NoiseDropout(dropout))
        self.joint = nn.Sequential(uniform_linear(z_units + y_units, joint_units, 0.05), nn.ReLU(), NoiseDropout(dropout))
        self.pixels = uniform_linear(joint_units, prod(shape), 0.05)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        joint = self.joint(torch.cat([self.from_z(z), self.from_y(y)], 1))
        return _image(self.pixels(joint), self.shape)


class ConditionalDiscriminator(nn.Module):
    """x and y each to a maxout layer, both to a joint one, one logit (Mirza and Osindero 2014, section 4.1).

    x [N, C, H, W] in [-1, 1], y one-hot [N, classes] -> [N, 1]. A fifth of the pixels are dropped while training, as in the
    discriminator of 2014.
    """

    def __init__(
        self,
        classes: int = 10,
        shape: tuple[int, ...] = (1, 28, 28),
        x_units: int = 240,
        y_units: int = 50,
        joint_units: int = 240,
        dropout: float = 0.5,
        input_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.from_x = nn.Sequential(nn.Dropout(input_dropout), Maxout(prod(shape), x_units, 5), nn.Dropout(dropout))
        self.from_y = nn.Sequential(Maxout(classes, y_units, 5, ONE_HOT_SPREAD), nn.Dropout(dropout))
        self.joint = nn.Sequential(Maxout(x_units + y_units, joint_units, 4), nn.Dropout(dropout))
        self.logit = uniform_linear(joint_units, 1, 0.005)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.logit(self.joint(torch.cat([self.from_x(_zero_one(x).flatten(1)), self.from_y(y)], 1)))


def _zero_one(x: Tensor) -> Tensor:
    return (x + 1) / 2


def _image(activation: Tensor, shape: tuple[int, ...]) -> Tensor:
    return (2 * torch.sigmoid(activation) - 1).unflatten(1, shape)
