"""The networks of Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", as in the authors' released scripts.

The residual pair for 32 x 32 pixels (appendix C; ``gan_cifar_resnet.py`` without its classes) and the small convolutional
pair for 28 x 28 (``gan_mnist.py``).
"""

from math import sqrt

from torch import Tensor, nn

from ganzoo.networks.dcgan import doublings
from ganzoo.networks.init import glorot_uniform

BEFORE_RELU = sqrt(2)  # the released code's gain of a convolution within a block; shortcuts and last layers have 1


def _conv(inputs: int, outputs: int, kernel: int = 3, gain: float = BEFORE_RELU) -> nn.Conv2d:
    return glorot_uniform(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), gain)


def _up() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="nearest")


class ResidualBlock(nn.Module):
    """The sum of two paths. [N, maps, H, W] -> [N, maps, ...], larger or smaller where the paths are.

    Args:
        main: two convolutions of 3 x 3.
        shortcut: the identity, or a 1 x 1 convolution with the same change of size.
    """

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.main(x)


class ResidualGenerator(nn.Module):
    """z -> 4 x 4 -> a residual block for each doubling -> tanh. [N, latent] -> [N, channels, size, size].

    Args:
        latent: length of z.
        channels: of an image.
        size: width and height of an image, a power of two from 8.
        width: maps of every layer.
    """

    def __init__(self, latent: int = 128, channels: int = 3, size: int = 32, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            glorot_uniform(nn.Linear(latent, 4 * 4 * width)),
            nn.Unflatten(1, (width, 4, 4)),
            *(self._block(width) for _ in range(doublings(size))),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _conv(width, channels, gain=1.0),
            nn.Tanh(),
        )

    @staticmethod
    def _block(width: int) -> nn.Module:
        first = nn.BatchNorm2d(width), nn.ReLU(), _up(), _conv(width, width)
        second = nn.BatchNorm2d(width), nn.ReLU(), _conv(width, width)
        return ResidualBlock(nn.Sequential(*first, *second), nn.Sequential(_up(), _conv(width, width, 1, 1.0)))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class ResidualCritic(nn.Module):
    """Two halvings and two blocks of one size, the mean over the pixels, a score. [N, channels, H, W] -> [N, 1].

    It has no norm: a penalty is of each sample's own gradient (section 4).

    Args:
        channels: of an image.
        width: maps of every layer.
    """

    def __init__(self, channels: int = 3, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ResidualBlock(
                nn.Sequential(_conv(channels, width), nn.ReLU(), _conv(width, width), nn.AvgPool2d(2)),
                nn.Sequential(nn.AvgPool2d(2), _conv(channels, width, 1, 1.0)),
            ),
            ResidualBlock(
                nn.Sequential(*self._path(width), nn.AvgPool2d(2)),
                nn.Sequential(_conv(width, width, 1, 1.0), nn.AvgPool2d(2)),
            ),
            ResidualBlock(self._path(width), nn.Identity()),
            ResidualBlock(self._path(width), nn.Identity()),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            glorot_uniform(nn.Linear(width, 1)),
        )

    @staticmethod
    def _path(width: int) -> nn.Sequential:
        return nn.Sequential(nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class SmallGenerator(nn.Module):
    """z -> 4 x 4 -> 8 -> cut to 7 -> 14 -> 28, by transposed convolutions of 5 x 5. [N, latent] -> [N, channels, 28, 28].

    Its output is a sigmoid in the released script; here it is brought from [0, 1] to [-1, 1]. No norm.

    Args:
        latent: length of z.
        channels: of an image.
        width: maps of the layer before the image.
    """

    def __init__(self, latent: int = 128, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        self.small = nn.Sequential(
            glorot_uniform(nn.Linear(latent, 4 * 4 * 4 * width)),
            nn.ReLU(),
            nn.Unflatten(1, (4 * width, 4, 4)),
            self._double(4 * width, 2 * width),
            nn.ReLU(),
        )
        self.large = nn.Sequential(self._double(2 * width, width), nn.ReLU(), self._double(width, channels), nn.Sigmoid())

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Module:
        return glorot_uniform(nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1), BEFORE_RELU)

    def forward(self, z: Tensor) -> Tensor:
        return 2 * self.large(self.small(z)[:, :, :7, :7]) - 1


class SmallCritic(nn.Module):
    """Three convolutions of 5 x 5 and stride 2, leaky ReLU of slope 0.2, a score. [N, channels, 28, 28] -> [N, 1].

    Args:
        channels: of an image.
        width: maps of the first layer; each layer after it has twice as many.
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [glorot_uniform(nn.Conv2d(inputs, outputs, 5, 2, 2), BEFORE_RELU), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), glorot_uniform(nn.Linear(4 * 4 * 4 * width, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
